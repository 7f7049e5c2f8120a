import Foundation
import XCTest

@testable import Sam2Core

/// Vectors that Python wrote (`python -m tests.exporting.golden`).
final class GoldenTests: XCTestCase {
    struct Golden: Decodable {
        struct Plan: Decodable {
            let length: Int?
            let limit, frame, span: Int
            let prompted, recent, spent, tokens, kept: [Int]
            let backwards: Bool
            let spatial, pointers: [[Int]]
        }

        struct Frame: Decodable {
            let width, height, side: Int
            let pixels, frame, picture: Data
        }

        struct Conversion: Decodable {
            let format: String
            let width, height, stride: Int
            let orientation, plane2_offset, plane2_stride, matrix: Int?
            let range: String?
            let data, rgb: Data
        }

        struct Masks: Decodable {
            let side, width, height: Int
            let logits, filled: Data
            let counts, prompt: [UInt32]
        }

        let plans: [Plan]
        let frames: [Frame]
        let conversions: [Conversion]
        let masks: [Masks]
    }

    private let golden: Golden = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Golden/core.json")
        return try! JSONDecoder().decode(Golden.self, from: Data(contentsOf: file))
    }()

    private func floats(_ data: Data) -> [Float] {
        data.withUnsafeBytes { bytes in
            (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }

    func testPlans() {
        XCTAssertGreaterThan(golden.plans.count, 100)
        for one in golden.plans {
            let schedule = Schedule(maxPrompted: one.limit, clipLength: one.length)
            let plan = schedule.plan(
                one.frame, prompted: one.prompted, recent: Set(one.recent),
                backwards: one.backwards)
            XCTAssertEqual(plan.spatial.map { [$0.frame, $0.number] }, one.spatial)
            XCTAssertEqual(plan.pointers.map { [$0.frame, $0.number] }, one.pointers)
            XCTAssertEqual(schedule.pointerSpan, one.span)
            XCTAssertEqual(
                schedule.spent(
                    after: one.frame, prompted: one.prompted, backwards: one.backwards), one.spent)
            let every = 0..<(one.length ?? 60)
            XCTAssertEqual(every.filter { schedule.needsTokens(of: $0, after: one.frame) }, one.tokens)
            XCTAssertEqual(every.filter { schedule.needsPointer(of: $0, after: one.frame) }, one.kept)
        }
    }

    func testFramesForTheModel() {
        for one in golden.frames {
            let pixels = [UInt8](one.pixels)
            let frame = Resampling.frame(
                pixels, width: one.width, height: one.height, side: one.side)
            XCTAssertEqual(frame, [UInt8](one.frame))
            let picture = Resampling.picture(
                pixels, width: one.width, height: one.height, side: one.side)
            for (found, wanted) in zip(picture, floats(one.picture)) {
                XCTAssertEqual(found, wanted, accuracy: 1e-6)
            }
        }
    }

    func testConversions() throws {
        for one in golden.conversions {
            let colors = one.plane2_offset.map {
                PixelFrame.Colors(
                    matrix: one.matrix!, isFullRange: one.range == "full", planeOffset: $0,
                    bytesPerRow: one.plane2_stride!)
            }
            let frame = PixelFrame(
                try XCTUnwrap(PixelFrame.Format(rawValue: one.format)), width: one.width,
                height: one.height, bytesPerRow: one.stride, colors: colors,
                orientation: one.orientation ?? 1, data: one.data)
            let difference = zip(try frame.rgb(), one.rgb).map { abs(Int($0) - Int($1)) }
            XCTAssertEqual(difference.count, one.rgb.count)
            // Halves may be rounded either way.
            XCTAssertLessThanOrEqual(difference.max() ?? 0, one.format == "NV12" ? 1 : 0)
        }
    }

    func testAFrameThatDoesNotFitIsRefused() {
        let good = golden.conversions[0]
        for (width, height, stride, count) in [
            (9, 6, 35, 1000), (9, 6, 44, 255), (0, 6, 44, 1000), (9, -1, 44, 1000),
            (20000, 6, 80000, 1000),
        ] {
            let frame = PixelFrame(
                .bgra, width: width, height: height, bytesPerRow: stride, data: Data(count: count))
            XCTAssertThrowsError(try frame.rgb())
        }
        XCTAssertEqual(good.format, "BGRA")
    }

    func testMasks() throws {
        for one in golden.masks {
            let logits = floats(one.logits)
            let mask = Resampling.mask(
                logits, side: one.side, width: one.width, height: one.height)
            let wanted = try XCTUnwrap(
                RunLengths(width: one.width, height: one.height, counts: one.counts)).mask
            XCTAssertGreaterThan(mask.overlap(with: wanted), 0.999)
            XCTAssertEqual(RunLengths(wanted).counts, one.counts)
            var filled = logits
            Resampling.fillHoles(&filled, side: one.side, area: 8)
            XCTAssertEqual(filled, floats(one.filled))
            let prompt = Resampling.prompt(wanted, side: 32)
            let small = Mask(width: 32, height: 32) { x, y in prompt[y * 32 + x] == 1 }
            let expected = try XCTUnwrap(
                RunLengths(width: 32, height: 32, counts: one.prompt)).mask
            XCTAssertGreaterThan(small.overlap(with: expected), 0.99)
        }
    }

    func testABankKeepsWhatIsNeeded() {
        var bank = MemoryBank<Int, Int>()
        let schedule = Schedule()
        bank.write(.init(tokens: 0, pointer: 0), frame: 0, isPrompted: true)
        for frame in 1...100 {
            let plan = schedule.plan(
                frame, prompted: bank.promptedFrames, recent: bank.recentFrames)
            XCTAssertEqual(plan.spatial.count, min(frame, 7))
            XCTAssertTrue(plan.spatial.allSatisfy { bank[$0.frame]?.tokens != nil })
            XCTAssertTrue(plan.pointers.allSatisfy { bank[$0.frame] != nil })
            bank.write(.init(tokens: frame, pointer: frame), frame: frame, isPrompted: false)
            bank.tidy(after: frame, schedule: schedule, backwards: false)
        }
        XCTAssertEqual(bank.promptedFrames, [0])
        XCTAssertEqual(bank.recentFrames, Set(85...100))
        XCTAssertNil(bank[90]?.tokens)
        XCTAssertEqual(bank[97]?.tokens, 97)
    }
}
