/// A mask as COCO has it: lengths of runs down the columns, of pixels beside the object first.
public struct RunLengths: Sendable, Hashable {
    public let width: Int
    public let height: Int
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
        var inside = [Bool](repeating: false, count: width * height)
        var place = 0
        for (index, count) in counts.enumerated() {
            if index % 2 == 1 {
                for pixel in place..<place + Int(count) { inside[pixel] = true }
            }
            place += Int(count)
        }
        return Mask(width: width, height: height) { x, y in inside[x * height + y] }
    }
}
