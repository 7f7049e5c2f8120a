import Foundation

/// Which pixels of a frame belong to an object: one bit a pixel.
public struct Mask: Sendable, Hashable {
    /// Columns of pixels.
    public let width: Int
    /// Rows of pixels.
    public let height: Int
    /// Rows from top to bottom, each padded to whole bytes, the leftmost pixel in the highest bit.
    public let bits: Data

    /// Bytes from one row to the next.
    public var bytesPerRow: Int { (width + 7) / 8 }

    /// Wraps bits that are there.
    ///
    /// - Precondition: `bits` holds `height` rows of whole bytes.
    public init(width: Int, height: Int, bits: Data) {
        precondition(bits.count == (width + 7) / 8 * height, "a mask needs a bit for each pixel")
        self.width = width
        self.height = height
        // A slice of a large message would keep all of it.
        self.bits = bits.startIndex == 0 ? bits : Data(bits)
    }

    /// Makes a mask pixel by pixel.
    public init(width: Int, height: Int, where isInside: (_ x: Int, _ y: Int) -> Bool) {
        let row = (width + 7) / 8
        var bits = [UInt8](repeating: 0, count: row * height)
        for y in 0..<height {
            for x in 0..<width where isInside(x, y) { bits[y * row + x / 8] |= 0x80 >> UInt8(x % 8) }
        }
        self.init(width: width, height: height, bits: Data(bits))
    }

    /// Whether a pixel belongs to the object; nothing does outside the frame.
    public subscript(x: Int, y: Int) -> Bool {
        guard x >= 0, y >= 0, x < width, y < height else { return false }
        return bits[y * bytesPerRow + x / 8] & (0x80 >> UInt8(x % 8)) != 0
    }

    /// The number of pixels of the object.
    public var area: Int { bits.reduce(0) { $0 + $1.nonzeroBitCount } }

    /// The smallest box around the object, or nil where there is none.
    public var boundingBox: Box? {
        var columns = [UInt8](repeating: 0, count: bytesPerRow)
        var top: Int?
        var bottom = 0
        for y in 0..<height {
            var isEmpty = true
            for column in 0..<bytesPerRow {
                let byte = bits[y * bytesPerRow + column]
                columns[column] |= byte
                if byte != 0 { isEmpty = false }
            }
            if !isEmpty {
                top = top ?? y
                bottom = y + 1
            }
        }
        guard let top, let first = columns.firstIndex(where: { $0 != 0 }),
            let last = columns.lastIndex(where: { $0 != 0 })
        else { return nil }
        let left = first * 8 + columns[first].leadingZeroBitCount
        let right = last * 8 + 8 - columns[last].trailingZeroBitCount
        return Box(
            left: Double(left), top: Double(top), right: Double(right), bottom: Double(bottom))
    }

    /// How much two masks of one size agree: their common pixels over all of theirs; 1 if both are
    /// empty.
    public func overlap(with other: Mask) -> Double {
        var common = 0
        var all = 0
        for (one, two) in zip(bits, other.bits) {
            common += (one & two).nonzeroBitCount
            all += (one | two).nonzeroBitCount
        }
        return all == 0 ? 1 : Double(common) / Double(all)
    }

    /// One byte a pixel, 255 on the object: what an image of 8-bit grey takes.
    public func gray8() -> Data {
        var gray = Data(capacity: width * height)
        for y in 0..<height {
            for byte in 0..<bytesPerRow {
                let eight = bits[y * bytesPerRow + byte]
                for bit in 0..<Swift.min(8, width - 8 * byte) {
                    gray.append(eight & (0x80 >> UInt8(bit)) == 0 ? 0 : 255)
                }
            }
        }
        return gray
    }
}
