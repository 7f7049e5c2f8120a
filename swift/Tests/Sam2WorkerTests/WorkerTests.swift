import Foundation
import Sam2Core
import XCTest

@testable import Sam2Worker

/// A real worker with the bundled model; skipped where there is no Python with the package.
final class WorkerTests: XCTestCase {
    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private let clip = root.appendingPathComponent("sam2_mlx/assets/demo.mp4")
    private let fish = Prompt.points([.on(105, 118)])

    private func engine() async throws -> WorkerEngine {
        try await WorkerEngine(try pythonWorker(root: Self.root), model: "nano")
    }

    private func frame(_ shade: Int, format: PixelFrame.Format = .rgb) -> PixelFrame {
        let (width, height, depth) = (320, 180, format.bytesPerPixel)
        var data = Data(count: width * height * depth)
        for y in 0..<height {
            for x in 0..<width {
                let isInside = (x - 60 - 4 * shade) * (x - 60 - 4 * shade) + (y - 90) * (y - 90) < 900
                for channel in 0..<3 {
                    data[(y * width + x) * depth + channel] = isInside ? 220 : UInt8((x ^ y) & 63)
                }
            }
        }
        return PixelFrame(format, width: width, height: height, data: data)
    }

    func testAClipIsFollowed() async throws {
        let engine = try await engine()
        let video = try await engine.open(clip)
        XCTAssertEqual(
            video.clip, ClipFacts(frameCount: 120, width: 640, height: 360, frameRate: 24))
        let first = try await video.prompt(object: 7, fish, frame: 0)
        XCTAssertGreaterThan(first[7]?.mask.area ?? 0, 5000)
        var frames: [Int] = []
        for try await masks in video.masks(count: 9) {
            frames.append(masks.frame)
            let object = try XCTUnwrap(masks[7])
            XCTAssertTrue(object.isPresent && object.mask.area > 5000)
            XCTAssertEqual(object.mask.width, 640)
        }
        XCTAssertEqual(frames, Array(0..<10))
        let again = try await video.masks(on: 9)
        XCTAssertEqual(again.frame, 9)
        await engine.close()
    }

    func testLeavingTheLoopEndsTheWork() async throws {
        let engine = try await engine()
        let video = try await engine.open(clip)
        _ = try await video.prompt(object: 1, fish, frame: 0)
        for try await masks in video.masks() where masks.frame == 2 { break }
        // It would wait for a hundred frames more.
        let begin = ContinuousClock.now
        try await video.reset()
        XCTAssertLessThan(ContinuousClock.now - begin, .seconds(3))
        await engine.close()
    }

    func testCancellingTheTaskEndsTheWork() async throws {
        let engine = try await engine()
        let video = try await engine.open(clip)
        _ = try await video.prompt(object: 1, fish, frame: 0)
        let sequence = video.masks()
        let task = Task {
            var count = 0
            for try await _ in sequence { count += 1 }
            return count
        }
        try await Task.sleep(for: .milliseconds(500))
        task.cancel()
        let count = try await task.value
        XCTAssertLessThan(count, 119)
        try await video.reset()
        await engine.close()
    }

    func testAStreamIsFollowedByMapAndByPipe() async throws {
        let engine = try await engine()
        var results: [[FrameMasks]] = []
        // The first is large enough for shared memory; the other goes through the pipe.
        for share in [true, false] {
            let video = try await engine.stream()
            if !share { await video.useThePipe() }
            var shown: [FrameMasks] = []
            for index in 0..<6 {
                var masks = try await video.step(frame(index))
                XCTAssertEqual(masks.frame, index)
                if index == 0 {
                    masks = try await video.prompt(object: 1, .box(
                        Box(left: 28, top: 58, right: 92, bottom: 122)))
                }
                shown.append(masks)
            }
            results.append(shown)
            await video.close()
        }
        XCTAssertEqual(results[0], results[1])
        XCTAssertGreaterThan(results[0].last?[1]?.mask.area ?? 0, 1000)
        await engine.close()
    }

    func testFormatsAndMasksAsPrompts() async throws {
        let engine = try await engine()
        let truth = Mask(width: 320, height: 180) { x, y in (x - 60) * (x - 60) + (y - 90) * (y - 90) < 900 }
        var found: [Mask] = []
        for format in [PixelFrame.Format.rgb, .bgra, .rgba] {
            let video = try await engine.stream()
            _ = try await video.step(frame(0, format: format))
            let masks = try await video.prompt(object: 3, .mask(truth))
            found.append(try XCTUnwrap(masks[3]).mask)
            XCTAssertGreaterThan(found[0].overlap(with: truth), 0.9)
        }
        XCTAssertEqual(found[0], found[1])
        XCTAssertEqual(found[0], found[2])
        await engine.close()
    }

    func testAPictureIsAskedAbout() async throws {
        let engine = try await engine()
        let picture = try await engine.picture(frame(0))
        let several = try await picture.predict(.points([.on(60, 90), .beside(200, 90)]))
        XCTAssertEqual(several.count, 3)
        let one = try await picture.predict(
            .box(Box(left: 28, top: 58, right: 92, bottom: 122)), several: false)
        XCTAssertEqual(one.count, 1)
        XCTAssertGreaterThan(one[0].mask.area, 1000)
        await picture.close()
        await engine.close()
    }

    func testARefusalIsAnErrorOfTheCall() async throws {
        let engine = try await engine()
        do {
            _ = try await engine.open(URL(fileURLWithPath: "/nowhere.mp4"))
            XCTFail("there is no such file")
        } catch WorkerError.refused(let code, _) { XCTAssertEqual(code, "not_found") }
        let video = try await engine.stream()
        do {
            _ = try await video.prompt(object: 1, fish)
            XCTFail("there is no frame")
        } catch WorkerError.refused(let code, _) { XCTAssertEqual(code, "bad_state") }
        do {
            for try await _ in video.masks() {}
            XCTFail("a stream has no frames of its own")
        } catch WorkerError.refused(let code, _) { XCTAssertEqual(code, "bad_state") }
        try await engine.ping()
        await engine.close()
    }

    func testItGoesOnFromASavedSessionAfterACrash() async throws {
        let engine = try await engine()
        let file = FileManager.default.temporaryDirectory
            .appendingPathComponent("\(UUID().uuidString).safetensors")
        defer { try? FileManager.default.removeItem(at: file) }
        var video = try await engine.stream()
        _ = try await video.step(frame(0))
        _ = try await video.prompt(object: 1, .points([.on(60, 90)]))
        _ = try await video.step(frame(1))
        try await video.save(to: file)
        let wanted = try await video.step(frame(2))
        kill(try await pid(of: engine), SIGKILL)
        do {
            // Two: the first may be written before the end is noticed.
            for index in 3...4 { _ = try await video.step(frame(index)) }
            XCTFail("the worker is dead")
        } catch WorkerError.ended(let status) { XCTAssertEqual(status, SIGKILL) }
        try await engine.restart()
        video = try await engine.restore(file)
        let masks = try await video.step(frame(2))
        XCTAssertEqual(masks, wanted)
        await engine.close()
    }

    func testKilledAtFiftyRandomMoments() async throws {
        let engine = try await engine()
        for turn in 0..<50 {
            let number = try await pid(of: engine)
            Task {
                try await Task.sleep(for: .milliseconds(Int.random(in: 0...300)))
                kill(number, SIGKILL)
            }
            do {
                let video = try await engine.open(clip)
                _ = try await video.prompt(object: 1, fish, frame: 0)
                while true {
                    for try await _ in video.masks(from: 0, count: 2) {}
                    _ = try await engine.stream().step(frame(turn))
                }
            } catch { XCTAssertEqual(error as? WorkerError, .ended(status: SIGKILL)) }
            try await engine.restart()
        }
        let video = try await engine.open(clip)
        let masks = try await video.prompt(object: 1, fish, frame: 0)
        XCTAssertGreaterThan(masks[1]?.mask.area ?? 0, 5000)
        await engine.close()
    }

    private func pid(of engine: WorkerEngine) async throws -> Int32 {
        let number = await engine.pid
        return try XCTUnwrap(number)
    }
}

/// How a test starts a worker: with the Python of `SAM2_PYTHON`, or that of the checkout.
func pythonWorker(root: URL) throws -> WorkerLaunch {
    let environment = ProcessInfo.processInfo.environment
    let python = environment["SAM2_PYTHON"] ?? root.appendingPathComponent(".venv/bin/python").path
    guard FileManager.default.isExecutableFile(atPath: python) else {
        throw XCTSkip("no Python with the package; SAM2_PYTHON names one")
    }
    return WorkerLaunch(
        executable: URL(fileURLWithPath: python),
        arguments: ["-m", "sam2_mlx", "serve", "--stdio"],
        environment: environment.merging(["PYTHONPATH": root.path]) { _, new in new })
}
