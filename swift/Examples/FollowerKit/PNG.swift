import Foundation
import Sam2Core

/// Masks as PNG pictures of one bit a pixel, white on the object.
public enum PNG {
    /// The file of a mask.
    public static func data(_ mask: Mask) -> Data {
        var rows = Data(capacity: (mask.bytesPerRow + 1) * mask.height)
        for y in 0..<mask.height {
            rows.append(0)
            rows += mask.bits[y * mask.bytesPerRow..<(y + 1) * mask.bytesPerRow]
        }
        var file = Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        // One bit of grey, no interlacing.
        file += chunk("IHDR", big(mask.width) + big(mask.height) + Data([1, 0, 0, 0, 0]))
        file += chunk("IDAT", stored(rows))
        return file + chunk("IEND", Data())
    }

    /// A zlib stream without compression.
    private static func stored(_ data: Data) -> Data {
        var stream = Data([0x78, 0x01])
        var start = 0
        repeat {
            let count = min(data.count - start, 65535)
            let isLast: UInt8 = start + count == data.count ? 1 : 0
            let length = UInt16(count)
            for word in [length, ~length] { stream += Data([UInt8(word & 255), UInt8(word >> 8)]) }
            stream.insert(isLast, at: stream.count - 4)
            stream += data[start..<start + count]
            start += count
        } while start < data.count
        var (a, b): (UInt32, UInt32) = (1, 0)
        for byte in data {
            a = (a + UInt32(byte)) % 65521
            b = (b + a) % 65521
        }
        return stream + big(Int(b << 16 | a))
    }

    private static func chunk(_ name: String, _ data: Data) -> Data {
        let body = Data(name.utf8) + data
        return big(data.count) + body + big(Int(checksum(body)))
    }

    private static func big(_ number: Int) -> Data {
        Data((0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) })
    }

    private static let table: [UInt32] = (0..<256).map { byte in
        (0..<8).reduce(UInt32(byte)) { value, _ in
            value & 1 == 1 ? 0xEDB8_8320 ^ value >> 1 : value >> 1
        }
    }

    private static func checksum(_ data: Data) -> UInt32 {
        ~data.reduce(~UInt32(0)) { table[Int(($0 ^ UInt32($1)) & 255)] ^ $0 >> 8 }
    }
}
