import Foundation
import Sam2Core

/// A clip or a stream that a bundle follows objects in.
public actor NativeVideo<R: Runtime>: VideoSession {
    public nonisolated let clip: ClipFacts?
    private let network: Network<R>
    private let source: (any FrameSource)?
    private var tracker: Tracker<R>
    private var frame: Int?
    private var current: (number: Int, features: Network<R>.Features)?
    private var size = (width: 0, height: 0)
    private var pass: Pass?

    /// Frames that are being followed, in their order.
    private struct Pass {
        let id: Int
        var frames: [Int]
        let backwards: Bool
    }

    private var passes = 0

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        MLXThread.shared.asUnownedSerialExecutor()
    }

    init(_ network: Network<R>, source: (any FrameSource)?, keepsAll: Bool) {
        self.network = network
        self.source = source
        clip = source?.facts
        tracker = Tracker(network, clipLength: source?.facts.frameCount, keepsAll: keepsAll)
    }

    public func step(_ image: PixelFrame) async throws -> FrameMasks {
        guard source == nil else {
            throw NativeError.state("this session reads its own frames; use masks()")
        }
        let pixels = try image.rgb()
        try commit()
        let number = (frame ?? -1) + 1
        size = image.uprightSize
        try encode(number, pixels)
        frame = number
        try tracker.track(number, current!.features, backwards: false)
        return tracker.masks(number, width: size.width, height: size.height)
    }

    public func prompt(object: Int, _ prompt: Prompt, frame: Int?) async throws -> FrameMasks {
        let number = frame ?? self.frame ?? 0
        let features = try features(number)
        try tracker.prompt(
            object, number, features, prompt, width: size.width, height: size.height)
        return tracker.masks(number, width: size.width, height: size.height)
    }

    public nonisolated func masks(from start: Int?, count: Int?, backwards: Bool, ahead: Int)
        -> MaskSequence
    {
        MaskSequence {
            let pass = try await self.begin(start, count, backwards)
            return MaskSequence.Feed(
                stream: AsyncThrowingStream { try await self.next(pass) })
        }
    }

    @discardableResult
    public func remove(object: Int) async throws -> Bool { tracker.remove(object) }

    public func reset() async throws { tracker.reset() }

    public func close() async {
        tracker.reset()
        current = nil
        pass = nil
    }

    private func begin(_ start: Int?, _ count: Int?, _ backwards: Bool) throws -> Int {
        guard let clip else {
            throw NativeError.state("a stream is followed with step(); only a clip has frames")
        }
        try commit()
        try tracker.requirePrompts()
        let first = start ?? tracker.firstPrompted ?? 0
        guard (0..<clip.frameCount).contains(first) else {
            throw NativeError.input("the clip has frames 0 to \(clip.frameCount - 1); got \(first)")
        }
        let more = max(count ?? clip.frameCount, 0)
        let last = backwards ? max(first - more, 0) : min(first + more, clip.frameCount - 1)
        var frames = Array(min(first, last)...max(first, last))
        if backwards {
            // There is nothing behind the first frame.
            frames = first == 0 ? [] : frames.reversed()
        }
        passes += 1
        pass = Pass(id: passes, frames: frames, backwards: backwards)
        return passes
    }

    private func next(_ id: Int) throws -> FrameMasks? {
        // Another pass, or a reset, has taken its place.
        guard var pass, pass.id == id, !pass.frames.isEmpty else { return nil }
        let number = pass.frames.removeFirst()
        self.pass = pass
        try tracker.track(number, features(number), backwards: pass.backwards)
        frame = number
        return tracker.masks(number, width: size.width, height: size.height)
    }

    private func commit() throws {
        for number in tracker.draftFrames { try tracker.commit(number, features(number)) }
    }

    /// The features of a frame, read from the clip if they are not at hand.
    private func features(_ number: Int) throws -> Network<R>.Features {
        if let current, current.number == number { return current.features }
        guard let source else {
            throw frame == nil
                ? NativeError.state("show a frame with step() before prompting on it")
                : NativeError.input("a stream is prompted on the frame shown last; got \(number)")
        }
        guard (0..<source.facts.frameCount).contains(number) else {
            throw NativeError.input("the clip has no frame \(number)")
        }
        let image = try source.frame(number)
        size = image.uprightSize
        try encode(number, image.rgb())
        return current!.features
    }

    private func encode(_ number: Int, _ pixels: [UInt8]) throws {
        let input = Resampling.frame(
            pixels, width: size.width, height: size.height, side: network.facts.imageSize)
        current = (number, try network.encode(frame: input))
    }
}
