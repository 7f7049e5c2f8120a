import Foundation

/// Something that follows objects: a worker process, or a bundle in the app's own process.
public protocol Engine: Sendable {
    associatedtype Video: VideoSession
    associatedtype Picture: PictureSession

    /// Opens a stream, whose frames the app hands in.
    func stream() async throws -> Video

    /// Encodes a picture, which can then be asked about any number of times.
    func picture(_ frame: PixelFrame) async throws -> Picture
}

/// A video, or a stream of frames, in which objects are followed.
public protocol VideoSession: Sendable {
    /// What is known of a clip; nil for a stream.
    nonisolated var clip: ClipFacts? { get }

    /// Shows the next frame of a stream.
    ///
    /// - Returns: the masks of all objects; none before the first prompt.
    func step(_ frame: PixelFrame) async throws -> FrameMasks

    /// Points at an object: a new one, or a correction of one that is followed.
    ///
    /// - Parameters:
    ///   - object: any number; it tells the object from others.
    ///   - prompt: what is pointed at.
    ///   - frame: which frame of a clip; nil is the one shown last.
    func prompt(object: Int, _ prompt: Prompt, frame: Int?) async throws -> FrameMasks

    /// Follows all objects through a clip. Leaving the loop, or cancelling its task, ends the work.
    ///
    /// - Parameters:
    ///   - start: the first frame; nil is the earliest prompted one.
    ///   - count: how many frames after the first; nil is to the end.
    ///   - backwards: go to earlier frames.
    ///   - ahead: how many frames may be ready before they are asked for.
    nonisolated func masks(from start: Int?, count: Int?, backwards: Bool, ahead: Int)
        -> MaskSequence

    /// Forgets an object; returns whether there was one.
    @discardableResult
    func remove(object: Int) async throws -> Bool

    /// Forgets all objects.
    func reset() async throws

    /// Lets go of the session.
    func close() async
}

extension VideoSession {
    /// Points at an object on the frame shown last.
    public func prompt(object: Int, _ prompt: Prompt) async throws -> FrameMasks {
        try await self.prompt(object: object, prompt, frame: nil)
    }

    /// Follows all objects through a clip; see ``masks(from:count:backwards:ahead:)``.
    public func masks(
        from start: Int? = nil, count: Int? = nil, backwards: Bool = false, ahead: Int = 4
    ) -> MaskSequence {
        masks(from: start, count: count, backwards: backwards, ahead: ahead)
    }

    /// Follows a camera: frames that come while one is being worked on are dropped but for the
    /// newest.
    ///
    /// - Parameter frames: made with the buffering policy `.bufferingNewest(1)`.
    public func follow(_ frames: AsyncStream<PixelFrame>) -> AsyncThrowingStream<
        FrameMasks, any Error
    > {
        AsyncThrowingStream { feed in
            let work = Task {
                do {
                    for await frame in frames { feed.yield(try await step(frame)) }
                    feed.finish()
                } catch { feed.finish(throwing: error) }
            }
            feed.onTermination = { _ in work.cancel() }
        }
    }
}

/// A picture that has been encoded.
public protocol PictureSession: Sendable {
    /// The masks that a prompt may mean, the likeliest having the highest predicted IoU.
    ///
    /// - Parameters:
    ///   - prompt: clicks or a box.
    ///   - several: three masks for an ambiguous prompt, or one.
    func predict(_ prompt: Prompt, several: Bool) async throws -> [FoundObject]

    /// Lets go of the picture.
    func close() async
}

/// What is known of a clip.
public struct ClipFacts: Sendable, Hashable {
    /// How many frames it has.
    public let frameCount: Int
    /// Columns of pixels of the upright frames.
    public let width: Int
    /// Rows of pixels of the upright frames.
    public let height: Int
    /// Frames a second.
    public let frameRate: Double

    public init(frameCount: Int, width: Int, height: Int, frameRate: Double) {
        self.frameCount = frameCount
        self.width = width
        self.height = height
        self.frameRate = frameRate
    }
}

/// Masks frame by frame. Nothing is done before the first is asked for.
public struct MaskSequence: AsyncSequence, Sendable {
    public typealias Element = FrameMasks

    /// Work that has begun.
    public struct Feed: Sendable {
        let stream: AsyncThrowingStream<FrameMasks, any Error>
        let taken: @Sendable () async -> Void

        /// - Parameters:
        ///   - stream: the masks; the work ends when the stream is let go.
        ///   - taken: called when the app has dealt with a frame.
        public init(
            stream: AsyncThrowingStream<FrameMasks, any Error>,
            taken: @escaping @Sendable () async -> Void = {}
        ) {
            self.stream = stream
            self.taken = taken
        }
    }

    private let begin: @Sendable () async throws -> Feed

    /// - Parameter begin: starts the work.
    public init(begin: @escaping @Sendable () async throws -> Feed) { self.begin = begin }

    public func makeAsyncIterator() -> Iterator { Iterator(begin: begin) }

    /// Where a loop over the masks is.
    public struct Iterator: AsyncIteratorProtocol {
        let begin: @Sendable () async throws -> Feed
        private var masks: AsyncThrowingStream<FrameMasks, any Error>.Iterator?
        private var taken: (@Sendable () async -> Void)?

        init(begin: @escaping @Sendable () async throws -> Feed) { self.begin = begin }

        public mutating func next() async throws -> FrameMasks? {
            if masks == nil {
                let feed = try await begin()
                masks = feed.stream.makeAsyncIterator()
                taken = feed.taken
            } else {
                await taken?()
            }
            return try await masks?.next()
        }
    }
}
