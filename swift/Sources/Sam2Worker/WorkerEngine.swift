// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation
import Sam2Core

/// How a video is followed; what is nil is as the package has it.
public struct TrackingOptions: Codable, Sendable, Hashable {
    /// Background regions of at most this many low-resolution pixels are filled.
    public var fillHoleArea: Double?
    /// Each pixel is given to one object only.
    public var nonOverlapMasks: Bool?
    /// Prompted frames that a frame looks at; -1 is all.
    public var maxPromptedFrames: Int?

    public init(
        fillHoleArea: Double? = nil, nonOverlapMasks: Bool? = nil, maxPromptedFrames: Int? = nil
    ) {
        self.fillHoleArea = fillHoleArea
        self.nonOverlapMasks = nonOverlapMasks
        self.maxPromptedFrames = maxPromptedFrames
    }

    enum CodingKeys: String, CodingKey {
        case fillHoleArea = "fill_hole_area"
        case nonOverlapMasks = "non_overlap_masks"
        case maxPromptedFrames = "max_prompted_frames"
    }
}

/// What a session remembers.
public enum Memory: String, Sendable {
    /// What one direction can still need: bounded for any length.
    case rolling
    /// Every frame: for corrections anywhere and for both directions.
    case full
    /// Bounded, and frames are chosen against look-alikes.
    case distractorAware = "distractor-aware"
    /// Bounded, and frames on which the object was not seen do not count.
    case valid
}

/// What a model runs on.
public enum Device: String, Sendable {
    /// The GPU where MLX has one.
    case auto
    /// The GPU; the CPU where MLX has none.
    case gpu
    /// The CPU.
    case cpu
}

/// Follows objects in a process of its own, which the app starts: everything the Python package can
/// do. A crash of the worker is an error of the call.
public actor WorkerEngine: Engine {
    private let launch: WorkerLaunch
    private let load: LoadModel
    private var connection: Connection

    /// Starts a worker and loads a model.
    ///
    /// - Parameters:
    ///   - launch: how the worker is started.
    ///   - model: a name such as `tiny` or `nano`, a Hugging Face id, or the path of a file or
    ///     folder.
    ///   - imageSize: the side of the model's input in pixels; nil is the model's own.
    ///   - device: what it runs on.
    ///   - progress: told of a download, 0 to 1.
    public init(
        _ launch: WorkerLaunch, model: String, imageSize: Int? = nil, device: Device = .auto,
        progress: (@Sendable (Double) -> Void)? = nil
    ) async throws {
        self.launch = launch
        load = LoadModel(model: model, image_size: imageSize, device: device.rawValue)
        connection = try await Self.start(launch, load, progress)
    }

    /// Starts another worker in place of one that has ended. Sessions of the old one are gone;
    /// ``restore(_:clip:)`` goes on with saved ones.
    public func restart() async throws {
        await connection.kill()
        connection = try await Self.start(launch, load, nil)
    }

    /// The worker's process number; nil once it has ended.
    public var pid: Int32? { get async { await connection.pid } }

    /// Opens a clip, a folder of pictures or a picture.
    public func open(
        _ clip: URL, memory: Memory = .rolling, options: TrackingOptions? = nil
    ) async throws -> WorkerVideo {
        try await open(path: clip.path, memory, options)
    }

    /// Opens a stream, whose frames the app hands in.
    public func stream() async throws -> WorkerVideo {
        try await open(path: nil, .rolling, nil)
    }

    /// Opens a stream with options.
    public func stream(memory: Memory, options: TrackingOptions?) async throws -> WorkerVideo {
        try await open(path: nil, memory, options)
    }

    /// Goes on with a session that ``WorkerVideo/save(to:)`` saved, with the same model.
    ///
    /// - Parameters:
    ///   - file: the saved session.
    ///   - clip: the clip it is of; nil for a stream.
    public func restore(_ file: URL, clip: URL? = nil) async throws -> WorkerVideo {
        let fields = Restore(path: file.path, clip: clip?.path)
        let (opened, _) = try await connection.call("restore", fields, as: Opened.self)
        return WorkerVideo(connection, opened)
    }

    public func picture(_ frame: PixelFrame) async throws -> WorkerPicture {
        let fields = SetPicture(pixels: Pixels(frame))
        let (opened, _) = try await connection.call(
            "set_picture", fields, blob: frame.data, as: Opened.self)
        return WorkerPicture(connection, opened.session)
    }

    /// Whether the worker answers.
    public func ping() async throws {
        let _: (Nothing, Data) = try await connection.call("ping", Nothing())
    }

    /// Lets the worker end.
    public func close() async { await connection.close() }

    private func open(path: String?, _ memory: Memory, _ options: TrackingOptions?) async throws
        -> WorkerVideo
    {
        let fields = Open(path: path, memory: memory.rawValue, options: options)
        let (opened, _) = try await connection.call("open", fields, as: Opened.self)
        return WorkerVideo(connection, opened)
    }

    private static func start(
        _ launch: WorkerLaunch, _ load: LoadModel, _ progress: (@Sendable (Double) -> Void)?
    ) async throws -> Connection {
        let connection = try await Connection(launch)
        let _: (HelloAnswer, Data) = try await connection.call("hello", Hello())
        let job = await connection.beginJob { message in
            if let event = try? JSONDecoder().decode(Progress.self, from: message.json) {
                progress?(event.fraction)
            }
        }
        var fields = load
        fields.job = job
        try await withTaskCancellationHandler {
            let _: (Nothing, Data) = try await connection.call("load_model", fields)
        } onCancel: {
            Task { await connection.tell("cancel", OfJob(job: job)) }
        }
        await connection.endJob(job)
        return connection
    }
}

/// A picture that a worker has encoded.
public struct WorkerPicture: PictureSession {
    private let connection: Connection
    private let session: Int

    init(_ connection: Connection, _ session: Int) {
        self.connection = connection
        self.session = session
    }

    public func predict(_ prompt: Prompt, several: Bool = true) async throws -> [FoundObject] {
        let asked = Ask(session: session, prompt: Ask.Pointed(prompt), multimask: several)
        let (masks, blob) = try await connection.call("predict", asked, as: Masks.self)
        return try masks.found(blob)
    }

    public func close() async {
        let _: (Nothing, Data)? = try? await connection.call("close", OfSession(session: session))
    }
}
#endif
