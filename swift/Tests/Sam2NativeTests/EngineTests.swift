import Foundation
import Sam2Core
import Sam2MLXShim
import Sam2Native
import Sam2Worker
import XCTest

/// One suite, two engines, and the masks of Python: equal bit for bit from the worker, up to
/// rounding from the bundle.
final class EngineTests: XCTestCase {
    struct Script: Decodable {
        struct Pointed: Decodable {
            let object: Int
            let points: [[Double]]?
            let labels: [Int]?
            let box: [Double]?
            let mask: [UInt32]?

            func prompt(width: Int, height: Int) -> Prompt {
                let clicks = zip(points ?? [], labels ?? []).map {
                    Click(x: $0[0], y: $0[1], isOnObject: $1 == 1)
                }
                if let mask {
                    return .mask(RunLengths(width: width, height: height, counts: mask)!.mask)
                }
                guard let box else { return .points(clicks) }
                return .box(Box(left: box[0], top: box[1], right: box[2], bottom: box[3]), clicks)
            }
        }

        struct Step: Decodable {
            let frame: Int
            let prompt: Pointed?
            let masks: [String: [UInt32]]
        }

        let width, height, frames: Int
        let stream, clip: [Step]
    }

    /// Frames that lie one after the other in a file.
    struct RawFrames: FrameSource {
        let facts: ClipFacts
        let data: Data

        func frame(_ number: Int) -> PixelFrame {
            let size = facts.width * facts.height * 3
            return PixelFrame(
                .rgb, width: facts.width, height: facts.height,
                data: Data(data[number * size..<(number + 1) * size]))
        }
    }

    private static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    private static let folder = FileManager.default.temporaryDirectory
        .appendingPathComponent("sam2-engines-\(ProcessInfo.processInfo.processIdentifier)")
    nonisolated(unsafe) private static var problem: String?

    override class func setUp() {
        do {
            let (python, environment) = try interpreter()
            let process = Process()
            process.executableURL = python
            process.arguments = ["-m", "tests.exporting.swift_fixture", folder.path]
            process.currentDirectoryURL = root
            process.environment = environment
            try process.run()
            process.waitUntilExit()
            if process.terminationStatus != 0 { problem = "the fixture was not made" }
        } catch { problem = "\(error)" }
    }

    override class func tearDown() { try? FileManager.default.removeItem(at: folder) }

    private static func interpreter() throws -> (URL, [String: String]) {
        let environment = ProcessInfo.processInfo.environment
        let path =
            environment["SAM2_PYTHON"] ?? root.appendingPathComponent(".venv/bin/python").path
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw XCTSkip("no Python with the package; SAM2_PYTHON names one")
        }
        let own = environment.merging(["PYTHONPATH": root.path]) { _, new in new }
        return (URL(fileURLWithPath: path), own)
    }

    private var bundle: URL { Self.folder.appendingPathComponent("nano") }

    private func fixture() throws -> (script: Script, frames: RawFrames) {
        _ = try Self.interpreter()
        if let problem = Self.problem { throw NativeError.state(problem) }
        let json = try Data(contentsOf: Self.folder.appendingPathComponent("script.json"))
        let script = try JSONDecoder().decode(Script.self, from: json)
        let facts = ClipFacts(
            frameCount: script.frames, width: script.width, height: script.height, frameRate: 24)
        let data = try Data(contentsOf: Self.folder.appendingPathComponent("frames.rgb"))
        return (script, RawFrames(facts: facts, data: data))
    }

    private func worker() async throws -> WorkerEngine {
        let (python, environment) = try Self.interpreter()
        let launch = WorkerLaunch(
            executable: python, arguments: ["-m", "sam2_mlx", "serve", "--stdio"],
            environment: environment)
        return try await WorkerEngine(launch, model: "nano")
    }

    private func compare(
        _ found: FrameMasks, _ step: Script.Step, exactly: Bool, line: UInt = #line
    ) {
        XCTAssertEqual(found.frame, step.frame, line: line)
        XCTAssertEqual(Set(found.objects.map { "\($0.id)" }), Set(step.masks.keys), line: line)
        for object in found.objects {
            let wanted = RunLengths(
                width: found.width, height: found.height, counts: step.masks["\(object.id)"]!)!.mask
            if exactly {
                XCTAssertEqual(object.mask, wanted, "frame \(step.frame)", line: line)
            } else {
                let different = zip(object.mask.bits, wanted.bits)
                    .reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount }
                // On a GPU both are in float16.
                let share = ShimRuntime.device == "gpu" ? 50 : 1000
                XCTAssertLessThanOrEqual(
                    different, 3 + wanted.area / share, "frame \(step.frame)", line: line)
            }
        }
    }

    private func runStream<E: Engine>(_ engine: E, exactly: Bool) async throws {
        let (script, frames) = try fixture()
        let video = try await engine.stream()
        for step in script.stream {
            let masks: FrameMasks
            if let pointed = step.prompt {
                let prompt = pointed.prompt(width: script.width, height: script.height)
                masks = try await video.prompt(object: pointed.object, prompt)
            } else {
                masks = try await video.step(frames.frame(step.frame))
            }
            compare(masks, step, exactly: exactly)
        }
        await video.close()
    }

    private func runClip<V: VideoSession>(_ video: V, exactly: Bool) async throws {
        let (script, _) = try fixture()
        let first = script.clip[0]
        let prompt = first.prompt!.prompt(width: script.width, height: script.height)
        let shown = try await video.prompt(
            object: first.prompt!.object, prompt, frame: first.frame)
        compare(shown, first, exactly: exactly)
        var steps = script.clip.dropFirst()
        for try await masks in video.masks(from: first.frame, count: 12, backwards: true) {
            compare(masks, try XCTUnwrap(steps.popFirst()), exactly: exactly)
        }
        XCTAssertTrue(steps.isEmpty)
        await video.close()
    }

    func testAStreamThroughTheWorker() async throws {
        let engine = try await worker()
        try await runStream(engine, exactly: true)
        await engine.close()
    }

    func testAStreamThroughTheBundle() async throws {
        _ = try fixture()
        try await runStream(NativeEngine<ShimRuntime>(bundle: bundle), exactly: false)
    }

    func testAClipBackwardsThroughTheWorker() async throws {
        let engine = try await worker()
        let clip = Self.root.appendingPathComponent("sam2_mlx/assets/demo.mp4")
        try await runClip(engine.open(clip), exactly: true)
        await engine.close()
    }

    func testAClipBackwardsThroughTheBundle() async throws {
        let (_, frames) = try fixture()
        let engine = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        try await runClip(engine.open(frames), exactly: false)
    }

    func testAClipWithMorePromptsThanAStreamLooksAt() async throws {
        let (_, frames) = try fixture()
        let worker = try await worker()
        let native = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        let one = try await worker.open(Self.root.appendingPathComponent("sam2_mlx/assets/demo.mp4"))
        let other = try await native.open(frames)
        // Half of them on something else, so that it matters which are looked at.
        for frame in 0..<10 {
            let click = frame % 2 == 0 ? Click.on(105, 118) : .on(520, 196)
            _ = try await one.prompt(object: 1, .points([click]), frame: frame)
            _ = try await other.prompt(object: 1, .points([click]), frame: frame)
        }
        var answers: [[FrameMasks]] = [[], []]
        for try await masks in one.masks(from: 10, count: 2) { answers[0].append(masks) }
        for try await masks in other.masks(from: 10, count: 2) { answers[1].append(masks) }
        XCTAssertEqual(answers.map(\.count), [3, 3])
        for (a, b) in zip(answers[0], answers[1]) {
            XCTAssertGreaterThan(a[1]!.mask.area, 100)
            XCTAssertGreaterThan(a[1]!.mask.overlap(with: b[1]!.mask), 0.995)
        }
        await worker.close()
    }

    func testAPictureThroughBoth() async throws {
        let (_, frames) = try fixture()
        let frame = frames.frame(0)
        let worker = try await worker()
        let native = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        let prompt = Prompt.points([.on(105, 118), .beside(300, 300)])
        let one = try await worker.picture(frame).predict(prompt)
        let other = try await native.picture(frame).predict(prompt)
        XCTAssertEqual(one.count, 3)
        for (a, b) in zip(one, other) {
            XCTAssertGreaterThan(a.mask.overlap(with: b.mask), 0.995)
            XCTAssertEqual(a.predictedIoU, b.predictedIoU, accuracy: 1e-3)
        }
        await worker.close()
    }

    func testLeavingTheLoopAndPromptingAgain() async throws {
        let (_, frames) = try fixture()
        let engine = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        let video = try await engine.open(frames, keepsAll: true)
        _ = try await video.prompt(object: 1, .points([.on(105, 118)]), frame: 0)
        for try await masks in video.masks() where masks.frame == 3 { break }
        let corrected = try await video.prompt(object: 1, .points([.on(120, 120)]), frame: 2)
        XCTAssertGreaterThan(corrected[1]?.mask.area ?? 0, 1000)
        var count = 0
        for try await masks in video.masks(from: 2, count: 3) {
            count += 1
            XCTAssertGreaterThan(masks[1]?.mask.area ?? 0, 1000)
        }
        XCTAssertEqual(count, 4)
        let removed = try await video.remove(object: 1)
        XCTAssertTrue(removed)
    }

    func testManyTasksAtOnce() async throws {
        // MLX wants one thread; tasks come on many.
        let (_, frames) = try fixture()
        let engine = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    let video = try await engine.stream()
                    _ = try await video.step(frames.frame(0))
                    _ = try await video.prompt(object: 1, .points([.on(105, 118)]))
                    return try await video.step(frames.frame(1))[1]!.mask.area
                }
            }
            var areas: Set<Int> = []
            for try await area in group { areas.insert(area) }
            XCTAssertEqual(areas.count, 1)
        }
    }

    func testMistakesAreErrors() async throws {
        let (_, frames) = try fixture()
        let engine = try await NativeEngine<ShimRuntime>(bundle: bundle, check: false)
        let stream = try await engine.stream()
        await assertThrows(.state("show a frame with step() before prompting on it")) {
            _ = try await stream.prompt(object: 1, .points([.on(1, 1)]))
        }
        let clip = try await engine.open(frames)
        await assertThrows(.state("nothing to follow: prompt an object first")) {
            for try await _ in clip.masks() {}
        }
        _ = try await stream.step(frames.frame(0))
        await assertThrows(.input("12 points; this bundle takes 1 to 10")) {
            let clicks = (0..<12).map { Click.on(Double(10 * $0), 20) }
            _ = try await stream.prompt(object: 1, .points(clicks))
        }
        _ = try await clip.prompt(object: 1, .points([.on(105, 118)]), frame: 4)
        for try await _ in clip.masks(count: 1) {}
        do {
            for try await _ in clip.masks(backwards: true) {}
            XCTFail("a rolling memory goes one way")
        } catch NativeError.state {}
    }

    private func assertThrows(
        _ wanted: NativeError, line: UInt = #line, _ work: () async throws -> Void
    ) async {
        do {
            try await work()
            XCTFail("nothing was thrown", line: line)
        } catch { XCTAssertEqual(error as? NativeError, wanted, line: line) }
    }

    func testADamagedBundleIsRefused() async throws {
        _ = try fixture()
        let files = FileManager.default
        let copy = Self.folder.appendingPathComponent("copy")
        let model = copy.appendingPathComponent("model.mlxfn")
        let facts = copy.appendingPathComponent("bundle.json")
        func replace(_ old: String, _ new: String) throws {
            let text = try String(contentsOf: facts, encoding: .utf8)
            XCTAssertTrue(text.contains(old))
            try text.replacingOccurrences(of: old, with: new)
                .write(to: facts, atomically: true, encoding: .utf8)
        }
        let damages: [(String, () throws -> Void)] = [
            ("is damaged or not whole (model.mlxfn)", {
                var data = try Data(contentsOf: model)
                data[5_000_000] ^= 1
                try data.write(to: model)
            }),
            ("is damaged or not whole (model.mlxfn)", {
                try Data(contentsOf: model).prefix(1000).write(to: model)
            }),
            ("no bundle in", { try files.removeItem(at: facts) }),
            ("does not describe a bundle", { try Data("{}".utf8).write(to: facts) }),
            ("was written by MLX 0.9.1", { try replace(ShimRuntime.version, "0.9.1") }),
            ("is for a tpu", { try replace("\"\(ShimRuntime.device)\"", "\"tpu\"") }),
            ("has format 7", { try replace("\"format\": 1", "\"format\": 7") }),
            ("has sizes that mean nothing", { try replace("\"grid\": 16", "\"grid\": -16") }),
            ("gives other numbers", { try replace("\"tolerance\": 0.001", "\"tolerance\": 1e-13") }),
        ]
        for (message, damage) in damages {
            try? files.removeItem(at: copy)
            try files.copyItem(at: bundle, to: copy)
            try damage()
            do {
                _ = try await NativeEngine<ShimRuntime>(bundle: copy)
                XCTFail("\(message): it was opened")
            } catch NativeError.bundle(let said) {
                XCTAssertTrue(said.contains(message), said)
            }
        }
    }
}
