import Foundation
import Sam2Core
import XCTest

@testable import FollowerKit

final class FollowerKitTests: XCTestCase {
    private func reader(_ data: Data, step: Int) -> (Int) -> Data {
        var rest = Data(data)
        return { count in
            let part = Data(rest.prefix(min(count, step)))
            rest = Data(rest.dropFirst(part.count))
            return part
        }
    }

    func testPicturesComeAndGo() throws {
        let pixels = (0..<2 * 3 * 3).map { UInt8($0 * 9) }
        let one = PPM.data(width: 2, height: 3, pixels: pixels)
        for step in 1...20 {
            let read = reader(one + one, step: step)
            for _ in 0..<2 {
                let frame = try XCTUnwrap(try PPM.next(read))
                XCTAssertEqual(try frame.rgb(), pixels)
                XCTAssertEqual([frame.width, frame.height], [2, 3])
            }
            XCTAssertNil(try PPM.next(read))
        }
    }

    func testWhatIsNoPictureIsAnError() {
        for text in ["P6\n2 3\n255\nabc", "P5\n2 3\n255\n", "P6\n2", "P6 99999 3 255 ", "P6\n2 3\n65535\n"] {
            XCTAssertThrowsError(try PPM.next(reader(Data(text.utf8), step: 100)), text)
        }
    }

    func testAMaskIsAPNG() throws {
        let mask = Mask(width: 9, height: 2) { x, y in x == y }
        let data = PNG.data(mask)
        XCTAssertEqual([UInt8](data.prefix(8)), [0x89, 0x50, 0x4E, 0x47, 13, 10, 26, 10])
        // Checked with another reader where there is one; these are its checksums.
        let text = data.map { String($0, radix: 16) }.joined()
        XCTAssertTrue(text.contains("49484452"))
        XCTAssertEqual(data.count, 8 + 25 + 12 + 2 + 5 + 2 * 3 + 4 + 12)
        XCTAssertEqual([UInt8](data.suffix(4)), [0xAE, 0x42, 0x60, 0x82])
    }

    func testOverlayTintsTheObjectAlone() {
        let mask = Mask(width: 8, height: 8) { x, y in (2...6).contains(x) && (2...6).contains(y) }
        let object = FoundObject(id: 1, mask: mask, predictedIoU: 1, presence: 5)
        let masks = FrameMasks(frame: 0, width: 8, height: 8, objects: [object])
        let drawn = Overlay.draw(masks, over: [UInt8](repeating: 100, count: 8 * 8 * 3))
        func pixel(_ x: Int, _ y: Int) -> [UInt8] { Array(drawn[(y * 8 + x) * 3..<(y * 8 + x) * 3 + 3]) }
        XCTAssertEqual(pixel(0, 0), [100, 100, 100])
        XCTAssertEqual(pixel(2, 4), [255, 64, 64])
        XCTAssertGreaterThan(pixel(4, 4)[0], 150)
    }

    func testOptions() throws {
        let options = try Options(
            ["clip.mp4", "out", "--click", "10,20", "--click", "3.5,4", "--model", "tiny"])
        XCTAssertEqual(options.clicks, [.on(10, 20), .on(3.5, 4)])
        XCTAssertEqual(options.engine, .worker(["sam2-mlx", "serve", "--stdio"], model: "tiny"))
        XCTAssertEqual(
            try Options(["a", "b", "--click", "1,2", "--bundle", "x"]).engine, .bundle("x"))
        for bad in [["a", "b"], ["a", "--click", "1,2"], ["a", "b", "--click", "1"], ["a", "b", "--colour", "red"], ["a", "b", "--click"]] {
            XCTAssertThrowsError(try Options(bad))
        }
    }

    func testAnOutlineGivesTheMaskBack() {
        for seed in 0..<20 {
            let mask = Mask(width: 12, height: 9) { x, y in (x * 7 + y * 13 + x * y * seed) % 5 < 3 }
            let rings = mask.outline()
            // The even-odd rule, a row of pixels at a time.
            let again = Mask(width: 12, height: 9) { x, y in
                var crossings = 0
                for ring in rings {
                    for (a, b) in zip(ring, ring.dropFirst() + [ring[0]])
                    where a.x == b.x && a.x <= x && min(a.y, b.y) <= y && y < max(a.y, b.y) {
                        crossings += 1
                    }
                }
                return crossings % 2 == 1
            }
            XCTAssertEqual(again, mask)
        }
        let square = Mask(width: 5, height: 5) { x, y in (1...3).contains(x) && (1...3).contains(y) }
        XCTAssertEqual(square.outline().map(\.count), [4])
        XCTAssertEqual(Mask(width: 5, height: 5) { _, _ in false }.outline(), [])
    }
}

/// Follows a square that moves a pixel a frame.
private actor FakeVideo: VideoSession {
    nonisolated let clip: ClipFacts? = ClipFacts(frameCount: 5, width: 8, height: 8, frameRate: 24)
    private(set) var prompts: [Prompt] = []

    nonisolated static func shown(_ frame: Int) -> FrameMasks {
        let mask = Mask(width: 8, height: 8) { x, y in x == frame && y == frame }
        let object = FoundObject(id: 1, mask: mask, predictedIoU: 1, presence: 3)
        return FrameMasks(frame: frame, width: 8, height: 8, objects: [object])
    }

    func step(_ frame: PixelFrame) async throws -> FrameMasks { throw FrameError("no camera") }

    func prompt(object: Int, _ prompt: Prompt, frame: Int?) async throws -> FrameMasks {
        prompts.append(prompt)
        return Self.shown(frame ?? 0)
    }

    nonisolated func masks(from start: Int?, count: Int?, backwards: Bool, ahead: Int)
        -> MaskSequence
    {
        MaskSequence {
            let (stream, feed) = AsyncThrowingStream<FrameMasks, any Error>.makeStream()
            for frame in (start ?? 0)..<5 { feed.yield(Self.shown(frame)) }
            feed.finish()
            return MaskSequence.Feed(stream: stream)
        }
    }

    func remove(object: Int) async throws -> Bool { true }
    func reset() async throws {}
    func close() async {}
}

@MainActor
final class FollowModelTests: XCTestCase {
    func testClicksAddUpAndTheClipIsFollowed() async throws {
        let video = FakeVideo()
        let model = FollowModel(video)
        await model.click(.on(1, 1), frame: 0)
        await model.click(.beside(5, 5), object: 1, frame: 0)
        await model.click(.on(3, 3), frame: 0)
        XCTAssertEqual(model.objects, [1, 2])
        let prompts = await video.prompts
        XCTAssertEqual(prompts[1], .points([.on(1, 1), .beside(5, 5)]))
        XCTAssertEqual(prompts[2], .points([.on(3, 3)]))
        model.follow()
        XCTAssertTrue(model.isFollowing)
        while model.isFollowing { await Task.yield() }
        XCTAssertEqual(model.masks, FakeVideo.shown(4))
        XCTAssertNil(model.message)
    }

    func testAnErrorIsAMessage() async {
        let model = FollowModel(FakeVideo())
        await model.show(PixelFrame(.rgb, width: 1, height: 1, data: Data(count: 3)))
        XCTAssertEqual(model.message, "no camera")
        model.follow()
        model.stop()
        XCTAssertFalse(model.isFollowing)
    }

    func testAFrameFitsItsWindow() {
        let fit = Fit(width: 200, height: 100, inWidth: 400, inHeight: 400)
        XCTAssertEqual(fit.scale, 2)
        XCTAssertEqual(fit.top, 100)
        let place = fit.pixel(x: 20, y: 140)
        XCTAssertEqual(place.x, 10)
        XCTAssertEqual(place.y, 20)
    }
}
