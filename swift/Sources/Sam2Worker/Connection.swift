// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation
import Sam2Core

/// The conversation with one worker process: answers go to who asked, events to their jobs.
actor Connection {
    private var child: ChildProcess?
    private var count = 0
    private var waiting: [Int: CheckedContinuation<Message, any Error>] = [:]
    private var jobs: [Int: @Sendable (Message) -> Void] = [:]
    private var end: WorkerError?

    /// Starts a worker.
    init(_ launch: WorkerLaunch) async throws {
        let (incoming, feed) = AsyncStream<Incoming>.makeStream()
        child = try ChildProcess(
            executable: launch.executable, arguments: launch.arguments,
            environment: launch.environment, log: launch.log,
            received: { feed.yield(.message($0)) },
            ended: { status, problem in
                feed.yield(.end(problem as? WorkerError ?? .ended(status: status)))
                feed.finish()
            })
        Task { [weak self] in
            for await one in incoming { await self?.receive(one) }
        }
    }

    deinit { child?.close() }

    /// The process's number.
    var pid: Int32? { child?.pid }

    /// Asks for something.
    ///
    /// - Returns: the result, and the blob that came with it.
    func call<Result: Decodable & Sendable>(
        _ method: String, _ fields: some Encodable & Sendable, blob: Data = Data(),
        as: Result.Type = Result.self
    ) async throws -> (Result, Data) {
        let number = nextNumber()
        let request = Request(id: number, method: method, fields: fields)
        let message = Message(json: try JSONEncoder().encode(request), blob: blob)
        let answer: Message = try await withCheckedThrowingContinuation { continuation in
            if let end { return continuation.resume(throwing: end) }
            waiting[number] = continuation
            child?.send(message)
        }
        return (try decode(Answer<Result>.self, answer.json).result, answer.blob)
    }

    /// Says something that is not answered.
    func tell(_ method: String, _ fields: some Encodable & Sendable) {
        let request = Request(id: nil, method: method, fields: fields)
        guard let json = try? JSONEncoder().encode(request) else { return }
        child?.send(Message(json: json))
    }

    /// Gives a number to a job, and a place to its events.
    func beginJob(_ event: @escaping @Sendable (Message) -> Void) -> Int {
        let job = nextNumber()
        jobs[job] = event
        return job
    }

    func endJob(_ job: Int) { jobs[job] = nil }

    /// Lets the worker end.
    func close() { child?.close() }

    /// Ends the worker at once.
    func kill() { child?.kill() }

    private enum Incoming: Sendable {
        case message(Message)
        case end(WorkerError)
    }

    private func nextNumber() -> Int {
        count += 1
        return count
    }

    private func receive(_ incoming: Incoming) {
        switch incoming {
        case .message(let message):
            do {
                try dispatch(message)
            } catch {
                finish(.protocolViolation("\(error)"))
                child?.kill()
            }
        case .end(let error):
            finish(error)
            child = nil
        }
    }

    private func dispatch(_ message: Message) throws {
        let head = try decode(Head.self, message.json)
        if let job = head.job, head.event != nil {
            jobs[job]?(message)
        } else if let id = head.id, let waiter = waiting.removeValue(forKey: id) {
            if let error = head.error {
                waiter.resume(throwing: WorkerError.refused(code: error.code, message: error.message))
            } else {
                waiter.resume(returning: message)
            }
        }
    }

    private func finish(_ error: WorkerError) {
        end = end ?? error
        for waiter in waiting.values { waiter.resume(throwing: error) }
        waiting = [:]
    }

    private nonisolated func decode<Value: Decodable>(_ type: Value.Type, _ json: Data) throws -> Value {
        do {
            return try JSONDecoder().decode(type, from: json)
        } catch {
            throw WorkerError.protocolViolation("an answer of another form: \(error)")
        }
    }
}

/// How a worker is started.
public struct WorkerLaunch: Sendable {
    /// The program: `sam2-mlx`, or a Python with the package.
    public var executable: URL
    /// Its arguments.
    public var arguments: [String]
    /// Its environment; nil is the app's.
    public var environment: [String: String]?
    /// Where it writes what is for people; nil is the app's stderr.
    public var log: FileHandle?

    /// - Parameter executable: the `sam2-mlx` command.
    public init(
        executable: URL, arguments: [String] = ["serve", "--stdio"],
        environment: [String: String]? = nil, log: FileHandle? = nil
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.log = log
    }

    /// A command on the PATH, as a program started from a shell finds it. An app from the Dock has
    /// no such PATH; it knows where its worker lies.
    ///
    /// - Throws: ``WorkerError/notStarted(_:)`` if there is none.
    public static func onPath(_ command: String = "sam2-mlx") throws -> WorkerLaunch {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        for folder in path.split(separator: ":") {
            let file = URL(fileURLWithPath: String(folder)).appendingPathComponent(command)
            if FileManager.default.isExecutableFile(atPath: file.path) {
                return WorkerLaunch(executable: file)
            }
        }
        throw WorkerError.notStarted(
            "\(command) is not on the PATH; install the Python package, or give its command's URL")
    }
}

private struct Request<Fields: Encodable>: Encodable {
    let id: Int?
    let method: String
    let fields: Fields

    enum Keys: String, CodingKey { case id, method }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encodeIfPresent(id, forKey: .id)
        try container.encode(method, forKey: .method)
        try fields.encode(to: encoder)
    }
}

private struct Answer<Result: Decodable>: Decodable { let result: Result }

private struct Head: Decodable {
    struct Failure: Decodable { let code, message: String }

    let id: Int?
    let event: String?
    let job: Int?
    let error: Failure?
}
#endif
