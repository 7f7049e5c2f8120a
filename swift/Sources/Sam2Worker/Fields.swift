// A worker is a process, which phones cannot start.
#if os(macOS) || os(Linux)
import Foundation
import Sam2Core

// Fields of requests and answers, as docs/app.md has them.

struct Nothing: Codable, Sendable {}

struct Hello: Encodable, Sendable {
    var `protocol` = 1
    var app: String?
}

struct HelloAnswer: Decodable, Sendable { let version, mlx, device: String }

struct LoadModel: Encodable, Sendable {
    var model: String
    var dtype: String?
    var image_size: Int?
    var device: String?
    var job: Int?
}

struct Progress: Decodable, Sendable { let stage: String, fraction: Double }

struct Open: Encodable, Sendable {
    var path: String?
    var memory: String?
    var options: TrackingOptions?
}

struct Opened: Decodable, Sendable {
    let session: Int
    let frames, width, height: Int?
    let frame_rate: [Int]?

    var clip: ClipFacts? {
        guard let frames, let width, let height, let rate = frame_rate, rate.count == 2 else {
            return nil
        }
        let perSecond = Double(rate[0]) / Double(max(rate[1], 1))
        return ClipFacts(frameCount: frames, width: width, height: height, frameRate: perSecond)
    }
}

struct Restore: Encodable, Sendable {
    var path: String
    var clip: String?
}

struct OfSession: Encodable, Sendable {
    var session: Int
    var object, frame: Int?
    var path: String?
}

struct Removed: Decodable, Sendable { let removed: Bool }

struct Step: Encodable, Sendable { var session: Int, pixels: Pixels }

struct Pixels: Encodable, Sendable {
    var format: String
    var width, height, stride: Int
    var plane2_offset, plane2_stride, matrix: Int?
    var range: String?
    var orientation: Int
    var map, offset: Int?

    init(_ frame: PixelFrame, map: Int? = nil, offset: Int? = nil) {
        format = frame.format.rawValue
        width = frame.width
        height = frame.height
        stride = frame.bytesPerRow
        orientation = frame.orientation
        if let colors = frame.colors {
            plane2_offset = colors.planeOffset
            plane2_stride = colors.bytesPerRow
            matrix = colors.matrix
            range = colors.isFullRange ? "full" : "video"
        }
        self.map = map
        self.offset = offset
    }
}

struct Ask: Encodable, Sendable {
    struct Pointed: Encodable, Sendable {
        struct Size: Encodable, Sendable { var width, height: Int }

        var points: [[Double]]?
        var labels: [Int]?
        var box: [Double]?
        var mask: Size?
        var blob = Data()

        enum CodingKeys: String, CodingKey { case points, labels, box, mask }

        init(_ prompt: Prompt) {
            switch prompt {
            case .points(let clicks): set(clicks)
            case .box(let around, let clicks):
                box = [around.left, around.top, around.right, around.bottom]
                if !clicks.isEmpty { set(clicks) }
            case .mask(let given):
                mask = Size(width: given.width, height: given.height)
                blob = given.bits
            }
        }

        private mutating func set(_ clicks: [Click]) {
            points = clicks.map { [$0.x, $0.y] }
            labels = clicks.map { $0.isOnObject ? 1 : 0 }
        }
    }

    var session: Int
    var object, frame: Int?
    var prompt: Pointed
    var multimask: Bool?
}

struct Propagate: Encodable, Sendable {
    var session, job, credit: Int
    var start, length: Int?
    var reverse: Bool
}

struct OfJob: Encodable, Sendable {
    var job: Int
    var frames: Int?
}

struct Ended: Decodable, Sendable { let ended: String }

struct SetPicture: Encodable, Sendable { var pixels: Pixels }

struct MapFile: Encodable, Sendable {
    var map: Int
    var path: String?
}

struct Mapped: Decodable, Sendable { let bytes: Int }

/// Masks as an answer or an event has them.
struct Masks: Decodable, Sendable {
    struct Entry: Decodable, Sendable {
        let object, offset, bytes: Int
        let iou: Double
        let presence: Double?
    }

    let frame: Int?
    let width, height: Int
    let objects: [Entry]

    /// The masks, cut from the blob.
    func found(_ blob: Data) throws -> [FoundObject] {
        guard width > 0, height > 0, width <= 1 << 15, height <= 1 << 15 else {
            throw WorkerError.protocolViolation("masks of \(width) x \(height)")
        }
        return try objects.map { entry in
            guard entry.bytes == (width + 7) / 8 * height, entry.offset >= 0,
                entry.offset <= blob.count - entry.bytes
            else { throw WorkerError.protocolViolation("a mask that its blob does not hold") }
            let start = blob.startIndex + entry.offset
            let mask = Mask(
                width: width, height: height, bits: Data(blob[start..<start + entry.bytes]))
            return FoundObject(
                id: entry.object, mask: mask, predictedIoU: entry.iou,
                presence: entry.presence ?? 0)
        }
    }

    func frameMasks(_ blob: Data) throws -> FrameMasks {
        FrameMasks(frame: frame ?? 0, width: width, height: height, objects: try found(blob))
    }
}
#endif
