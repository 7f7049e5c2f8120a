import Foundation

/// A mask as COCO has it: lengths of runs down the columns, of pixels beside the object first.
public struct RunLengths: Sendable, Hashable {
    /// Columns of pixels.
    public let width: Int
    /// Rows of pixels.
    public let height: Int
    /// Lengths of the runs, of pixels beside the object first.
    public let counts: [UInt32]

    /// Wraps counts that are there, or gives nil where they do not fill the size.
    public init?(width: Int, height: Int, counts: [UInt32]) {
        let total = counts.reduce(0) { $0 + UInt64($1) }
        guard width > 0, height > 0, total == UInt64(width) * UInt64(height) else { return nil }
        self.width = width
        self.height = height
        self.counts = counts
    }

    /// The run lengths of a mask.
    public init(_ mask: Mask) {
        width = mask.width
        height = mask.height
        var counts: [UInt32] = []
        var length: UInt32 = 0
        var isInside = false
        for x in 0..<mask.width {
            for y in 0..<mask.height {
                if mask[x, y] != isInside {
                    counts.append(length)
                    length = 0
                    isInside.toggle()
                }
                length += 1
            }
        }
        self.counts = counts + [length]
    }

    /// The mask of these run lengths.
    public var mask: Mask {
        let row = (width + 7) / 8
        var bits = [UInt8](repeating: 0, count: row * height)
        var place = 0
        for (index, count) in counts.enumerated() {
            let end = place + Int(count)
            if index % 2 == 1 {
                for pixel in place..<end {
                    let (x, y) = (pixel / height, pixel % height)
                    bits[y * row + x / 8] |= 0x80 >> UInt8(x % 8)
                }
            }
            place = end
        }
        return Mask(width: width, height: height, bits: Data(bits))
    }
}
