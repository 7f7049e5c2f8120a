// Follows clicked objects through a clip: frames in, masks and an overlay out, through either engine.
import FollowerKit
import Foundation
import Sam2Core
import Sam2Worker

#if canImport(Sam2MLXShim)
    import Sam2MLXShim
    import Sam2Native
#endif

do {
    let options = try Options(Array(CommandLine.arguments.dropFirst()))
    switch options.engine {
    case .worker(let command, let model):
        let program = try find(command.first ?? "sam2-mlx")
        let launch = WorkerLaunch(executable: program, arguments: Array(command.dropFirst()))
        let engine = try await WorkerEngine(launch, model: model)
        try await run(options, engine.stream())
        await engine.close()
    case .bundle(let folder):
        #if canImport(Sam2MLXShim)
            let url = URL(fileURLWithPath: folder)
            let engine = try await NativeEngine<ShimRuntime>(bundle: url)
            try await run(options, engine.stream())
        #else
            throw FrameError("built without MLX_ROOT, so \(folder) cannot be opened")
        #endif
    }
} catch {
    FileHandle.standardError.write(Data("follower: \(error)\n".utf8))
    exit(2)
}

func run<Video: VideoSession>(_ options: Options, _ video: Video) async throws {
    let files = FileManager.default
    let output = URL(fileURLWithPath: options.output)
    try files.createDirectory(at: output, withIntermediateDirectories: true)
    var follower = Follower(video, clicks: options.clicks)
    let (input, reading) = try open(options.clip)
    let overlay = try Sink(output.appendingPathComponent("overlay"), rate: options.frameRate)
    let clock = ContinuousClock()
    let start = clock.now
    var count = 0
    while let frame = try PPM.next({ try input.read(upToCount: $0) ?? Data() }) {
        let masks = try await follower.follow(frame)
        for object in masks.objects {
            let folder = output.appendingPathComponent("object\(object.id)")
            try files.createDirectory(at: folder, withIntermediateDirectories: true)
            let name = String(repeating: "0", count: max(0, 5 - "\(count)".count)) + "\(count).png"
            try PNG.data(object.mask).write(to: folder.appendingPathComponent(name))
        }
        let drawn = Overlay.draw(masks, over: try frame.rgb())
        try overlay.write(PPM.data(width: frame.width, height: frame.height, pixels: drawn))
        count += 1
    }
    reading?.waitUntilExit()
    try overlay.finish()
    print("wrote \(output.path): \(count) frames in \(clock.now - start)")
}

/// The frames of a clip as a stream of PPM pictures.
func open(_ clip: String) throws -> (FileHandle, Process?) {
    if clip.hasSuffix(".ppm") {
        return (try FileHandle(forReadingFrom: URL(fileURLWithPath: clip)), nil)
    }
    let process = Process()
    process.executableURL = try find("ffmpeg")
    process.arguments = [
        "-v", "error", "-nostdin", "-i", clip, "-f", "image2pipe", "-c:v", "ppm", "-",
    ]
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    return (pipe.fileHandleForReading, process)
}

/// Where the overlay goes: through ffmpeg to a film, or as it is.
final class Sink {
    private let handle: FileHandle
    private var process: Process?

    init(_ name: URL, rate: String) throws {
        guard let ffmpeg = try? find("ffmpeg") else {
            let file = name.appendingPathExtension("ppm")
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
            handle = try FileHandle(forWritingTo: file)
            return
        }
        let process = Process()
        process.executableURL = ffmpeg
        process.arguments = [
            "-v", "error", "-nostdin", "-y", "-f", "image2pipe", "-c:v", "ppm", "-r", rate, "-i", "-",
            "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p",
            name.appendingPathExtension("mp4").path,
        ]
        let pipe = Pipe()
        process.standardInput = pipe
        handle = pipe.fileHandleForWriting
        try process.run()
        self.process = process
    }

    func write(_ data: Data) throws { try handle.write(contentsOf: data) }

    func finish() throws {
        try handle.close()
        process?.waitUntilExit()
    }
}

/// A program on the PATH, or by its own path.
func find(_ program: String) throws -> URL {
    if program.contains("/") { return URL(fileURLWithPath: program) }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
    for folder in path.split(separator: ":") {
        let file = URL(fileURLWithPath: String(folder)).appendingPathComponent(program)
        if FileManager.default.isExecutableFile(atPath: file.path) { return file }
    }
    throw FrameError("\(program) is not on the PATH")
}
