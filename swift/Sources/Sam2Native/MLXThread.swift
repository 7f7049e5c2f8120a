import Foundation

/// The one thread of the process that does all of MLX's work.
///
/// MLX's streams belong to the thread that first used MLX, and Swift's tasks change threads at every
/// `await`. An actor with this executor stays on the thread.
final class MLXThread: SerialExecutor, @unchecked Sendable {
    static let shared = MLXThread()

    private let queue = Queue()

    private init() {
        let queue = queue
        let thread = Thread { queue.run() }
        thread.name = "sam2-mlx"
        // MLX walks graphs of thousands of operations.
        thread.stackSize = 16 << 20
        thread.start()
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedSerialExecutor()
        // The job keeps its actor, and that keeps the executor.
        queue.add { job.runSynchronously(on: executor) }
    }

    /// Does something on the thread.
    func run<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws
        -> Result
    {
        try await withCheckedThrowingContinuation { continuation in
            queue.add { continuation.resume(with: Swift.Result { try work() }) }
        }
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    private final class Queue: @unchecked Sendable {
        private let condition = NSCondition()
        private var work: [() -> Void] = []

        func add(_ one: @escaping () -> Void) {
            condition.lock()
            work.append(one)
            condition.signal()
            condition.unlock()
        }

        func run() {
            while true { next()() }
        }

        private func next() -> () -> Void {
            condition.lock()
            defer { condition.unlock() }
            while work.isEmpty { condition.wait() }
            return work.removeFirst()
        }
    }
}
