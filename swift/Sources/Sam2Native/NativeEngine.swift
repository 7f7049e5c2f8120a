import Foundation
import Sam2Core

/// Where the frames of a clip come from.
public protocol FrameSource: Sendable {
    /// Length, size and rate.
    var facts: ClipFacts { get }

    /// A frame by number; called on the engine's thread, so it may take its time.
    func frame(_ number: Int) throws -> PixelFrame
}

/// Follows objects in the app's own process, with a bundle of `sam2-mlx export` and no Python.
public actor NativeEngine<R: Runtime>: Engine {
    private let network: Network<R>

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        MLXThread.shared.asUnownedSerialExecutor()
    }

    /// Opens a bundle.
    ///
    /// - Parameters:
    ///   - bundle: the folder.
    ///   - check: run the bundle's check first, which proves it on this device and takes a few
    ///     frames' time.
    /// - Throws: ``NativeError/bundle(_:)`` where it is damaged, of another version of MLX, for
    ///   another device, or gives other numbers than its model.
    public init(bundle: URL, check: Bool = true) async throws {
        // An actor's initialiser is not on its executor yet.
        network = try await MLXThread.shared.run {
            let facts = try BundleFacts(folder: bundle, version: R.version, device: R.device)
            let functions = bundle.appendingPathComponent("model.mlxfn")
            let network = Network(facts: facts, runtime: try R(functions: functions))
            if check { try BundleCheck(network: network, folder: bundle).run() }
            return network
        }
    }

    public func stream() async throws -> NativeVideo<R> {
        NativeVideo(network, source: nil, keepsAll: false)
    }

    /// Opens a clip.
    ///
    /// - Parameters:
    ///   - clip: its frames.
    ///   - keepsAll: keep every frame, for corrections anywhere and for both directions; else what
    ///     one direction can still need.
    public func open(_ clip: any FrameSource, keepsAll: Bool = false) async throws -> NativeVideo<R> {
        NativeVideo(network, source: clip, keepsAll: keepsAll)
    }

    public func picture(_ frame: PixelFrame) async throws -> NativePicture<R> {
        let size = frame.uprightSize
        let pixels = Resampling.picture(
            try frame.rgb(), width: size.width, height: size.height, side: network.facts.imageSize)
        let features = try network.encode(picture: pixels)
        try network.runtime.evaluate([features.coarse, features.fine, features.middle])
        return NativePicture(network, features, width: size.width, height: size.height)
    }
}

/// A picture that a bundle has encoded.
public actor NativePicture<R: Runtime>: PictureSession {
    private let network: Network<R>
    private let features: Network<R>.Features
    private let width, height: Int

    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        MLXThread.shared.asUnownedSerialExecutor()
    }

    init(
        _ network: Network<R>, _ features: Network<R>.Features, width: Int,
        height: Int
    ) {
        self.network = network
        self.features = features
        self.width = width
        self.height = height
    }

    public func predict(_ prompt: Prompt, several: Bool = true) async throws -> [FoundObject] {
        if case .mask = prompt {
            throw NativeError.input("a picture is prompted with points and a box")
        }
        let side = network.facts.maskSize
        let points = try prompt.points(
            width: width, height: height, side: network.facts.imageSize, Network<R>.self)
        let (answer, offered) = try network.decode(
            features, conditioned: features.bare, points: points)
        let runtime = network.runtime
        let logits = try runtime.floats(several ? offered.logits : answer.logits)
        return try runtime.floats(several ? offered.iou : answer.iou).enumerated().map { place, iou in
            let one = Array(logits[place * side * side..<(place + 1) * side * side])
            let mask = Resampling.mask(one, side: side, width: width, height: height)
            return FoundObject(id: place, mask: mask, predictedIoU: Double(iou), presence: 0)
        }
    }

    public func close() async {}
}

/// A bundle's own check: it must give what its model gave.
struct BundleCheck<R: Runtime> {
    let network: Network<R>
    let folder: URL

    func run() throws {
        let file = try TensorFile(folder.appendingPathComponent("check.safetensors"))
        let (frames, shape) = try file.bytes("frames", "U8")
        let size = shape.dropFirst().reduce(1, *)
        let side = network.facts.imageSize
        guard shape.count == 4, shape[0] == 2, size == side * side * 3, frames.count == 2 * size
        else { throw NativeError.bundle("\(folder.path) has a check of another size") }
        let first = try network.encode(frame: [UInt8](frames.prefix(size)))
        let second = try network.encode(frame: [UInt8](frames.suffix(size)))
        let coords = try file.floats("coords").values
        let points = Network<R>.Points(coords: coords, labels: [1])
        let (clicked, _) = try network.decode(first, conditioned: first.bare, points: points)
        let given = try network.given(first, mask: file.floats("mask").values)
        let shown = try network.runtime.floats(clicked.logits)
        let tokens = try network.remember(first, shown: shown, presence: clicked.presence)
        var bank = MemoryBank<R.Tensor, R.Tensor>()
        bank.write(.init(tokens: tokens, pointer: clicked.pointer), frame: 0, isPrompted: true)
        let facts = network.facts
        let schedule = Schedule(memories: facts.memories, maxPointers: facts.maxPointers)
        let plan = schedule.plan(1, prompted: [0], recent: [])
        let conditioned = try network.attend(
            second, plan: plan, bank: bank, span: schedule.pointerSpan)
        let (tracked, _) = try network.decode(second, conditioned: conditioned)
        for (name, tensor) in [
            ("clicked", clicked.logits), ("tracked", tracked.logits), ("given", given.logits),
        ] {
            try compare(name, network.runtime.floats(tensor), file.floats("expect.\(name)").values)
        }
    }

    private func compare(_ name: String, _ found: [Float], _ wanted: [Float]) throws {
        let largest = max(wanted.map(abs).max() ?? 0, 1e-6)
        let worst = zip(found, wanted).map { abs($0 - $1) }.max() ?? .infinity
        guard found.count == wanted.count, Double(worst / largest) <= network.facts.tolerance else {
            throw NativeError.bundle(
                "\(folder.path) gives other numbers than its model: \(name) is off by "
                    + "\(worst) of \(largest); export it again on this machine")
        }
    }
}
