// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation
import Sam2Core

/// A video or a stream that a worker follows objects in.
public actor WorkerVideo: VideoSession {
    public nonisolated let clip: ClipFacts?
    private let connection: Connection
    private let session: Int
    private var shared: SharedFrames?
    var mayShare = true

    init(_ connection: Connection, _ opened: Opened) {
        self.connection = connection
        session = opened.session
        clip = opened.clip
    }

    public func step(_ frame: PixelFrame) async throws -> FrameMasks {
        let answer: (Masks, Data)
        if let (map, offset) = await place(frame) {
            let fields = Step(session: session, pixels: Pixels(frame, map: map, offset: offset))
            answer = try await connection.call("step", fields)
        } else {
            let fields = Step(session: session, pixels: Pixels(frame))
            answer = try await connection.call("step", fields, blob: frame.data)
        }
        return try answer.0.frameMasks(answer.1)
    }

    public func prompt(object: Int, _ prompt: Prompt, frame: Int?) async throws -> FrameMasks {
        let asked = Ask(
            session: session, object: object, frame: frame, prompt: Ask.Pointed(prompt))
        let (masks, blob) = try await connection.call(
            "prompt", asked, blob: asked.prompt.blob, as: Masks.self)
        return try masks.frameMasks(blob)
    }

    public nonisolated func masks(from start: Int?, count: Int?, backwards: Bool, ahead: Int)
        -> MaskSequence
    {
        let (connection, session) = (connection, session)
        return MaskSequence {
            let (stream, feed) = AsyncThrowingStream<FrameMasks, any Error>.makeStream()
            let job = await connection.beginJob { message in
                do {
                    let masks = try JSONDecoder().decode(Masks.self, from: message.json)
                    feed.yield(try masks.frameMasks(message.blob))
                } catch { feed.finish(throwing: error) }
            }
            feed.onTermination = { reason in
                if case .cancelled = reason {
                    Task { await connection.tell("cancel", OfJob(job: job)) }
                }
            }
            let fields = Propagate(
                session: session, job: job, credit: Swift.max(ahead, 1), start: start,
                length: count, reverse: backwards)
            Task {
                do {
                    let _: (Ended, Data) = try await connection.call("propagate", fields)
                    feed.finish()
                } catch { feed.finish(throwing: error) }
                await connection.endJob(job)
            }
            return MaskSequence.Feed(
                stream: stream,
                taken: { await connection.tell("credit", OfJob(job: job, frames: 1)) })
        }
    }

    /// The masks that were shown last on a frame of a clip.
    public func masks(on frame: Int) async throws -> FrameMasks {
        let fields = OfSession(session: session, frame: frame)
        let (masks, blob) = try await connection.call("masks", fields, as: Masks.self)
        return try masks.frameMasks(blob)
    }

    /// Forgets the prompts of an object on a frame.
    public func clear(object: Int, frame: Int) async throws {
        let fields = OfSession(session: session, object: object, frame: frame)
        let _: (Nothing, Data) = try await connection.call("clear", fields)
    }

    @discardableResult
    public func remove(object: Int) async throws -> Bool {
        let fields = OfSession(session: session, object: object)
        return try await connection.call("remove", fields, as: Removed.self).0.removed
    }

    public func reset() async throws {
        let _: (Nothing, Data) = try await connection.call("reset", OfSession(session: session))
    }

    /// Saves what the session knows, for ``WorkerEngine/restore(_:clip:)``.
    ///
    /// - Parameter file: its name must end in `.safetensors`.
    public func save(to file: URL) async throws {
        let fields = OfSession(session: session, path: file.path)
        let _: (Nothing, Data) = try await connection.call("save", fields)
    }

    public func close() async {
        if let map = shared?.map {
            let _: (Nothing, Data)? = try? await connection.call("unmap", MapFile(map: map))
        }
        shared = nil
        mayShare = false
        let _: (Nothing, Data)? = try? await connection.call("close", OfSession(session: session))
    }

    /// Puts a frame in memory that the worker shares, where that can be had.
    private func place(_ frame: PixelFrame) async -> (map: Int, offset: Int)? {
        // A pipe is as good for a small frame.
        guard mayShare, frame.data.count >= 1 << 16 else { return nil }
        if let shared, shared.size >= frame.data.count { return shared.place(frame.data) }
        if let map = shared?.map {
            let _: (Nothing, Data)? = try? await connection.call("unmap", MapFile(map: map))
        }
        shared = await SharedFrames.make(size: frame.data.count, connection)
        mayShare = shared != nil
        return shared?.place(frame.data)
    }
}

extension WorkerVideo {
    /// Sends frames through the pipe from now on, whatever their size.
    func useThePipe() { mayShare = false }
}
#endif
