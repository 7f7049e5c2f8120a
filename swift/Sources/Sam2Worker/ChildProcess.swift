// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A process that is talked to over its standard streams.
///
/// Two threads do what may block: one writes, one reads. A write to a process that is gone raises
/// SIGPIPE, which would end the app; here it is an error like any other.
final class ChildProcess: @unchecked Sendable {
    private let process = Process()
    private let input: Int32
    private let output: Int32
    private let condition = NSCondition()
    private var outgoing: [Data] = []
    private var isClosed = false

    /// Starts a process.
    ///
    /// - Parameters:
    ///   - executable: the program.
    ///   - arguments: its arguments.
    ///   - environment: its environment; nil is the app's.
    ///   - log: takes what it writes to stderr; nil is the app's stderr.
    ///   - received: called with each message that comes, on the reading thread.
    ///   - ended: called once, with the exit status, when nothing comes any more.
    init(
        executable: URL, arguments: [String], environment: [String: String]?, log: FileHandle?,
        received: @escaping @Sendable (Message) -> Void,
        ended: @escaping @Sendable (Int32, (any Error)?) -> Void
    ) throws {
        let toChild = Pipe()
        let fromChild = Pipe()
        process.executableURL = executable
        process.arguments = arguments
        if let environment { process.environment = environment }
        process.standardInput = toChild
        process.standardOutput = fromChild
        if let log { process.standardError = log }
        input = dup(toChild.fileHandleForWriting.fileDescriptor)
        output = dup(fromChild.fileHandleForReading.fileDescriptor)
        for descriptor in [input, output] {
            // Else a second worker would hold the first one's input open.
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        }
        #if canImport(Darwin)
            _ = fcntl(input, F_SETNOSIGPIPE, 1)
        #endif
        do {
            try process.run()
        } catch {
            Glue.close(input)
            Glue.close(output)
            throw WorkerError.notStarted("\(executable.path): \(error.localizedDescription)")
        }
        try? toChild.fileHandleForWriting.close()
        try? fromChild.fileHandleForReading.close()
        start("sam2-worker-writer") { [self] in write() }
        start("sam2-worker-reader") { [self] in
            let problem = read(received)
            close()
            process.waitUntilExit()
            Glue.close(output)
            ended(process.terminationStatus, problem)
        }
    }

    /// The process's number.
    var pid: Int32 { process.processIdentifier }

    /// Sends a message; returns at once.
    func send(_ message: Message) {
        condition.lock()
        if !isClosed {
            outgoing.append(message.head)
            if !message.blob.isEmpty { outgoing.append(message.blob) }
        }
        condition.signal()
        condition.unlock()
    }

    /// Closes the process's input, after what is to be sent; a worker then ends by itself.
    func close() {
        condition.lock()
        isClosed = true
        condition.signal()
        condition.unlock()
    }

    /// Ends the process at once.
    func kill() {
        #if canImport(Darwin)
            _ = Darwin.kill(pid, SIGKILL)
        #else
            _ = Glibc.kill(pid, SIGKILL)
        #endif
    }

    private func start(_ name: String, _ work: @escaping @Sendable () -> Void) {
        let thread = Thread(block: work)
        thread.name = name
        thread.start()
    }

    private func next() -> Data? {
        condition.lock()
        defer { condition.unlock() }
        while outgoing.isEmpty && !isClosed { condition.wait() }
        return outgoing.isEmpty ? nil : outgoing.removeFirst()
    }

    private func write() {
        #if !canImport(Darwin)
            // For this thread only, which is the one that writes.
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGPIPE)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
        #endif
        var isBroken = false
        while let data = next() {
            // What is left is dropped: the reader finds out that the process is gone.
            if !isBroken { isBroken = !Glue.writeAll(input, data) }
        }
        Glue.close(input)
    }

    private func read(_ received: (Message) -> Void) -> (any Error)? {
        do {
            while let message = try Message.next({ Glue.read(output, $0) }) { received(message) }
        } catch is Message.Cut {
            return nil
        } catch {
            // Nothing that it says can be understood any more.
            kill()
            return error
        }
        return nil
    }
}

/// The system's calls, whose names are taken by methods here.
private enum Glue {
    static func close(_ descriptor: Int32) {
        #if canImport(Darwin)
            _ = Darwin.close(descriptor)
        #else
            _ = Glibc.close(descriptor)
        #endif
    }

    static func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
        while true {
            #if canImport(Darwin)
                let count = Darwin.read(descriptor, buffer.baseAddress, buffer.count)
            #else
                let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            #endif
            if count >= 0 { return count }
            if errno != EINTR { return 0 }
        }
    }

    static func writeAll(_ descriptor: Int32, _ data: Data) -> Bool {
        data.withUnsafeBytes { bytes in
            var written = 0
            while written < bytes.count {
                #if canImport(Darwin)
                    let count = Darwin.write(
                        descriptor, bytes.baseAddress! + written, bytes.count - written)
                #else
                    let count = Glibc.write(
                        descriptor, bytes.baseAddress! + written, bytes.count - written)
                #endif
                if count < 0 && errno != EINTR { return false }
                written += max(count, 0)
            }
            return true
        }
    }
}
#endif
