// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// One message on the wire: JSON, and bytes that belong to it.
struct Message: Sendable {
    static let maxJSON = 1 << 20
    static let maxBlob = 1 << 29

    var json: Data
    var blob = Data()

    /// Lengths of both as little-endian u32, and the JSON; the blob follows.
    var head: Data {
        var head = Data(capacity: 8 + json.count)
        for count in [json.count, blob.count] {
            withUnsafeBytes(of: UInt32(count).littleEndian) { head.append(contentsOf: $0) }
        }
        return head + json
    }

    /// Reads the next message.
    ///
    /// - Parameter read: fills a part of the memory it is given; 0 at the end of the stream.
    /// - Returns: the message, or nil where the stream ends between two.
    static func next(
        _ read: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> Message? {
        guard let head = try fill(8, mayEnd: true, read) else { return nil }
        let (json, blob) = head.withUnsafeBytes {
            (
                Int(UInt32(littleEndian: $0.loadUnaligned(as: UInt32.self))),
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
            )
        }
        guard json <= maxJSON, blob <= maxBlob else {
            throw WorkerError.protocolViolation("a message of \(json) and \(blob) bytes")
        }
        guard let text = try fill(json, mayEnd: false, read),
            let data = try fill(blob, mayEnd: false, read)
        else { return nil }
        return Message(json: text, blob: data)
    }

    /// The stream ended in the middle of a message, as when a worker is killed.
    struct Cut: Error {}

    private static func fill(
        _ count: Int, mayEnd: Bool, _ read: (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> Data? {
        var data = Data(count: count)
        var filled = 0
        while filled < count {
            let got = try data.withUnsafeMutableBytes {
                try read(UnsafeMutableRawBufferPointer(rebasing: $0[filled...]))
            }
            if got == 0 {
                if mayEnd && filled == 0 { return nil }
                throw Cut()
            }
            filled += got
        }
        return data
    }
}

/// What can go wrong with a worker. None of these ends the app.
public enum WorkerError: Error, Equatable, Sendable {
    /// The worker refused a request; the codes are those of docs/app.md.
    case refused(code: String, message: String)
    /// The worker has ended, or was killed. ``WorkerEngine/restart()`` starts another.
    case ended(status: Int32)
    /// What came was no message.
    case protocolViolation(String)
    /// The worker could not be started.
    case notStarted(String)
}
#endif
