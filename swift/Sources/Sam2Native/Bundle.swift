import Foundation

#if canImport(CryptoKit)
    import CryptoKit
#else
    import CDigest
#endif

/// What `bundle.json` says; see docs/app.md.
public struct BundleFacts: Decodable, Sendable {
    /// Of the bundle.
    public let format: Int
    /// Version of MLX that wrote it.
    public let mlx: String
    /// `cpu` or `gpu`.
    public let device: String
    /// The model's name.
    public let model: String
    /// Side of the model's input in pixels.
    public let imageSize: Int
    /// Side of the logits.
    public let maskSize: Int
    /// Side of the coarse features.
    public let grid: Int
    /// Channels of the coarse features and of pointers.
    public let hiddenDim: Int
    /// Spatial memories that a frame looks at beside further prompted ones.
    public let memories: Int
    /// Frames whose pointers are looked at.
    public let maxPointers: Int
    /// Spatial memories and pointers that there is room for, ascending.
    public let tiers: [[Int]]
    /// Points of a prompt at most.
    public let points: Int
    /// Of the check, relative to the largest value.
    public let tolerance: Double
    /// Of the other files.
    public let sha256: [String: String]

    static let supportedFormat = 1

    /// Reads a bundle's description and proves that this program may open its functions.
    ///
    /// - Throws: ``NativeError/bundle(_:)``.
    init(folder: URL, version: String, device: String) throws {
        let file = folder.appendingPathComponent("bundle.json")
        guard let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize, size < 1 << 20,
            let data = try? Data(contentsOf: file)
        else { throw NativeError.bundle("no bundle in \(folder.path); make one with sam2-mlx export") }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        do {
            self = try decoder.decode(BundleFacts.self, from: data)
        } catch {
            throw NativeError.bundle("\(file.path) does not describe a bundle; export it again")
        }
        try check(folder, version: version, device: device)
    }

    private func check(_ folder: URL, version: String, device: String) throws {
        func refuse(_ reason: String) -> NativeError {
            .bundle("\(folder.path) \(reason); export it again")
        }
        guard format == Self.supportedFormat else {
            throw refuse("has format \(format), this version reads \(Self.supportedFormat)")
        }
        guard mlx.split(separator: ".").prefix(2) == version.split(separator: ".").prefix(2) else {
            throw refuse("was written by MLX \(mlx), here is \(version)")
        }
        guard self.device == device else {
            throw refuse("is for a \(self.device), MLX runs on a \(device) here")
        }
        let sizes = [imageSize, maskSize, grid, hiddenDim, memories, maxPointers, points]
        guard sizes.allSatisfy({ (1...1 << 14).contains($0) }), !tiers.isEmpty, memories > 1,
            maskSize * 4 == imageSize,
            tiers.allSatisfy({ $0.count == 2 && $0.allSatisfy { (1...1 << 10).contains($0) } })
        else { throw refuse("has sizes that mean nothing") }
        for name in ["model.mlxfn", "check.safetensors"] {
            let file = folder.appendingPathComponent(name)
            guard let digest = FileDigest.sha256(of: file), digest == sha256[name] else {
                throw refuse("is damaged or not whole (\(name))")
            }
        }
    }

    /// Prompted frames that a frame looks at: as many as the largest tier has room for.
    var maxPrompted: Int {
        let (spatial, pointers) = (tiers.last![0], tiers.last![1])
        return max(min(spatial - (memories - 1), pointers - (maxPointers - 1)), 2)
    }
}

/// The arrays of a safetensors file.
struct TensorFile {
    struct Entry: Decodable {
        let dtype: String
        let shape: [Int]
        let data_offsets: [Int]
    }

    private let entries: [String: Entry]
    private let data: Data

    init(_ file: URL) throws {
        let all = try Data(contentsOf: file, options: .alwaysMapped)
        func damaged() -> NativeError { .bundle("\(file.path) is damaged; export it again") }
        guard all.count >= 8 else { throw damaged() }
        let length = all.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        guard length <= UInt64(all.count - 8) else { throw damaged() }
        let header = all[all.startIndex + 8..<all.startIndex + 8 + Int(length)]
        guard let any = try? JSONSerialization.jsonObject(with: header) as? [String: Any] else {
            throw damaged()
        }
        var found: [String: Entry] = [:]
        for (name, value) in any where name != "__metadata__" {
            let json = try JSONSerialization.data(withJSONObject: value)
            found[name] = try JSONDecoder().decode(Entry.self, from: json)
        }
        entries = found
        data = Data(all[(all.startIndex + 8 + Int(length))...])
    }

    /// The bytes of an array that must have a type.
    func bytes(_ name: String, _ dtype: String) throws -> (bytes: Data, shape: [Int]) {
        guard let entry = entries[name], entry.dtype == dtype, entry.data_offsets.count == 2,
            entry.data_offsets[0] >= 0, entry.data_offsets[0] <= entry.data_offsets[1],
            entry.data_offsets[1] <= data.count
        else { throw NativeError.bundle("no array \(name) of \(dtype); export the bundle again") }
        return (data[entry.data_offsets[0]..<entry.data_offsets[1]], entry.shape)
    }

    func floats(_ name: String) throws -> (values: [Float], shape: [Int]) {
        let (bytes, shape) = try bytes(name, "F32")
        let values = bytes.withUnsafeBytes { raw in
            (0..<raw.count / 4).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
        return (values, shape)
    }
}

/// SHA-256 of files.
enum FileDigest {
    /// The digest in hexadecimal, or nil where the file cannot be read.
    static func sha256(of file: URL) -> String? {
        guard let handle = try? FileHandle(forReadingFrom: file) else { return nil }
        defer { try? handle.close() }
        #if canImport(CryptoKit)
            var digest = SHA256()
            while let part = try? handle.read(upToCount: 1 << 20), !part.isEmpty {
                digest.update(data: part)
            }
            let bytes = Array(digest.finalize())
        #else
            var digest = digest_sha256()
            digest_begin(&digest)
            while let part = try? handle.read(upToCount: 1 << 20), !part.isEmpty {
                digest_add(&digest, [UInt8](part), part.count)
            }
            var bytes = [UInt8](repeating: 0, count: 32)
            digest_end(&digest, &bytes)
        #endif
        return bytes.map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
    }
}
