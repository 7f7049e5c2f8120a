import Foundation
import XCTest

@testable import Sam2Worker

/// Workers that are none: whatever they do, the app gets an error and lives.
final class FalseWorkerTests: XCTestCase {
    private func start(_ script: String) async throws -> WorkerEngine {
        let launch = WorkerLaunch(
            executable: URL(fileURLWithPath: "/bin/sh"), arguments: ["-c", script])
        return try await WorkerEngine(launch, model: "nano")
    }

    private func problem(_ script: String) async -> WorkerError? {
        do {
            _ = try await start(script)
        } catch { return error as? WorkerError }
        return nil
    }

    func testAProgramThatIsNotThere() async throws {
        let launch = WorkerLaunch(executable: URL(fileURLWithPath: "/nowhere/sam2-mlx"))
        do {
            _ = try await WorkerEngine(launch, model: "nano")
            XCTFail("it cannot have been started")
        } catch WorkerError.notStarted(let message) {
            XCTAssertTrue(message.hasPrefix("/nowhere/sam2-mlx"), message)
        }
    }

    func testACommandOnThePath() throws {
        let shell = try WorkerLaunch.onPath("sh").executable
        XCTAssertTrue(FileManager.default.isExecutableFile(atPath: shell.path), shell.path)
        XCTAssertThrowsError(try WorkerLaunch.onPath("no-such-worker")) { problem in
            guard case WorkerError.notStarted(let message) = problem else {
                return XCTFail("\(problem)")
            }
            XCTAssertTrue(message.hasPrefix("no-such-worker is not on the PATH"), message)
        }
    }

    func testOneThatEndsAtOnce() async {
        let found = await problem("exit 3")
        XCTAssertEqual(found, .ended(status: 3))
    }

    func testOneThatDiesOnTheFirstMessage() async {
        let found = await problem("head -c 8 > /dev/null; kill -9 $$")
        guard case .ended = found else { return XCTFail("\(String(describing: found))") }
    }

    func testOneThatPrintsText() async {
        let found = await problem("echo 'Traceback (most recent call last):'; exec sleep 5")
        guard case .protocolViolation = found else {
            return XCTFail("\(String(describing: found))")
        }
    }

    func testOneThatAnswersSomethingElse() async {
        // Nine bytes of JSON that is none.
        let found = await problem(#"printf '\011\0\0\0\0\0\0\0not json!'; exec sleep 5"#)
        guard case .protocolViolation = found else {
            return XCTFail("\(String(describing: found))")
        }
    }

    func testOneThatSpeaksAnotherProtocol() async {
        let json = #"{"id":1,"error":{"code":"protocol","message":"old"}}"#
        let found = await problem("printf '\\\(octal(json.count))\\0\\0\\0\\0\\0\\0\\0\(json)'; exec sleep 5")
        XCTAssertEqual(found, .refused(code: "protocol", message: "old"))
    }

    func testOneThatNeverReads() async throws {
        // The pipe is full long before these are written, and nothing here waits for it.
        let child = try ChildProcess(
            executable: URL(fileURLWithPath: "/bin/sh"), arguments: ["-c", "sleep 1"],
            environment: nil, log: nil, received: { _ in }, ended: { _, _ in })
        let begin = ContinuousClock.now
        for _ in 0..<8 { child.send(Message(json: Data("{}".utf8), blob: Data(count: 1 << 20))) }
        XCTAssertLessThan(ContinuousClock.now - begin, .milliseconds(500))
        // The process ends with the pipe full: SIGPIPE for whoever writes.
        try await Task.sleep(for: .seconds(1.5))
    }

    private func octal(_ number: Int) -> String {
        let digits = String(number, radix: 8)
        return String(repeating: "0", count: 3 - digits.count) + digits
    }
}
