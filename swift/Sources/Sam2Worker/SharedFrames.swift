// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// Memory that app and worker share: room for two frames, which take turns.
final class SharedFrames: @unchecked Sendable {
    /// The worker's number for it.
    let map: Int
    /// Bytes that a frame may have.
    let size: Int
    private let memory: UnsafeMutableRawPointer
    private var isSecond = false

    private init(map: Int, size: Int, memory: UnsafeMutableRawPointer) {
        self.map = map
        self.size = size
        self.memory = memory
    }

    deinit { munmap(memory, 2 * size) }

    /// Makes such memory and tells the worker of it; nil where that cannot be done.
    static func make(size: Int, _ connection: Connection) async -> SharedFrames? {
        guard size <= 1 << 29 else { return nil }
        let folder = FileManager.default.temporaryDirectory
        let path = folder.appendingPathComponent("sam2-\(UUID().uuidString)").path
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        // The worker has it open by then, or never will.
        defer { unlink(path) }
        defer { close(descriptor) }
        guard ftruncate(descriptor, off_t(2 * size)) == 0,
            let memory = mmap(nil, 2 * size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
            memory != MAP_FAILED
        else { return nil }
        let map = await connection.beginJob { _ in }
        await connection.endJob(map)
        let fields = MapFile(map: map, path: path)
        guard let _: (Mapped, Data) = try? await connection.call("map", fields) else {
            munmap(memory, 2 * size)
            return nil
        }
        return SharedFrames(map: map, size: size, memory: memory)
    }

    /// Copies a frame to its place; returns where the worker finds it.
    func place(_ data: Data) -> (map: Int, offset: Int) {
        isSecond.toggle()
        let offset = isSecond ? size : 0
        data.withUnsafeBytes { (memory + offset).copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
        return (map, offset)
    }
}
#endif
