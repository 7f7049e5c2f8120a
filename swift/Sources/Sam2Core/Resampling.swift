import Foundation

/// Pictures and masks in other sizes, as the Python package makes them.
public enum Resampling {
    /// Weights of one dimension: for each place of the result, where it begins to read and how much
    /// of each.
    struct Taps {
        var first: [Int]
        var weights: [[Double]]

        /// - Parameters:
        ///   - reach: how far the kernel reaches in pixels of the larger of both.
        ///   - kernel: its weight at a distance.
        init(from input: Int, to output: Int, reach: Double, kernel: (Double) -> Double) {
            let scale = Double(input) / Double(output)
            let widened = max(scale, 1)
            let support = reach * widened
            first = []
            weights = []
            for place in 0..<output {
                let center = (Double(place) + 0.5) * scale
                let start = max(Int(center - support + 0.5), 0)
                let end = min(Int(center + support + 0.5), input)
                let raw = (start..<end).map { kernel((Double($0) - center + 0.5) / widened) }
                let sum = raw.reduce(0, +)
                first.append(start)
                weights.append(raw.map { $0 / sum })
            }
        }
    }

    static func triangle(_ x: Double) -> Double { max(1 - abs(x), 0) }

    static func cubic(_ distance: Double) -> Double {
        let a = -0.5
        let x = abs(distance)
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }

    /// A frame for the model: bicubic, rounded to 8 bits after each pass.
    ///
    /// - Parameters:
    ///   - pixels: RGB, rows without gaps.
    ///   - side: of the square result.
    public static func frame(_ pixels: [UInt8], width: Int, height: Int, side: Int) -> [UInt8] {
        let across = width == side ? nil : Taps(from: width, to: side, reach: 2, kernel: cubic)
        let down = height == side ? nil : Taps(from: height, to: side, reach: 2, kernel: cubic)
        var result = pixels
        if let across { result = rounded(result, taps: across, lines: height, line: width * 3) }
        if let down { result = roundedDown(result, taps: down, row: side * 3) }
        return result
    }

    private static let precision = 22
    private static let half = 1 << (precision - 1)

    private static func fixed(_ taps: Taps) -> [[Int]] {
        taps.weights.map { row in
            row.map { Int(($0 < 0 ? -0.5 : 0.5) + $0 * Double(1 << precision)) }
        }
    }

    private static func byte(_ sum: Int) -> UInt8 { UInt8(clamping: sum >> precision) }

    private static func rounded(_ pixels: [UInt8], taps: Taps, lines: Int, line: Int) -> [UInt8] {
        let weights = fixed(taps)
        let places = taps.first.count
        return [UInt8](unsafeUninitializedCapacity: lines * places * 3) { result, count in
            pixels.withUnsafeBufferPointer { pixels in
                for place in 0..<places {
                    weights[place].withUnsafeBufferPointer { weights in
                        for row in 0..<lines {
                            var from = pixels.baseAddress! + row * line + taps.first[place] * 3
                            var (red, green, blue) = (half, half, half)
                            for weight in weights {
                                red += weight * Int(from[0])
                                green += weight * Int(from[1])
                                blue += weight * Int(from[2])
                                from += 3
                            }
                            let to = result.baseAddress! + (row * places + place) * 3
                            to[0] = byte(red)
                            to[1] = byte(green)
                            to[2] = byte(blue)
                        }
                    }
                }
            }
            count = lines * places * 3
        }
    }

    private static func roundedDown(_ pixels: [UInt8], taps: Taps, row: Int) -> [UInt8] {
        let weights = fixed(taps)
        let places = taps.first.count
        return [UInt8](unsafeUninitializedCapacity: places * row) { result, count in
            pixels.withUnsafeBufferPointer { pixels in
                for place in 0..<places {
                    weights[place].withUnsafeBufferPointer { weights in
                        let first = pixels.baseAddress! + taps.first[place] * row
                        for x in 0..<row {
                            var sum = half
                            var from = first + x
                            for weight in weights {
                                sum += weight * Int(from[0])
                                from += row
                            }
                            result[place * row + x] = byte(sum)
                        }
                    }
                }
            }
            count = places * row
        }
    }

    /// A single picture for the model: bilinear with antialiasing, in floats from 0 to 1.
    public static func picture(_ pixels: [UInt8], width: Int, height: Int, side: Int) -> [Float] {
        let floats = pixels.map { Float($0) / 255 }
        return separable(floats, width: width, height: height, channels: 3, side: side)
    }

    /// A mask prompt for the model: 1 on the object, else 0.
    public static func prompt(_ mask: Mask, side: Int) -> [Float] {
        let floats = (0..<mask.height).flatMap { y in
            (0..<mask.width).map { x in mask[x, y] ? Float(1) : 0 }
        }
        if mask.width == side && mask.height == side { return floats }
        return separable(floats, width: mask.width, height: mask.height, channels: 1, side: side)
            .map { $0 >= 0.5 ? 1 : 0 }
    }

    private static func separable(
        _ values: [Float], width: Int, height: Int, channels: Int, side: Int
    ) -> [Float] {
        let across = Taps(from: width, to: side, reach: 1, kernel: triangle)
        let down = Taps(from: height, to: side, reach: 1, kernel: triangle)
        var wide = [Float](repeating: 0, count: height * side * channels)
        for y in 0..<height {
            for x in 0..<side {
                for channel in 0..<channels {
                    var sum = 0.0
                    for (offset, weight) in across.weights[x].enumerated() {
                        let at = (y * width + across.first[x] + offset) * channels + channel
                        sum += weight * Double(values[at])
                    }
                    wide[(y * side + x) * channels + channel] = Float(sum)
                }
            }
        }
        let row = side * channels
        var result = [Float](repeating: 0, count: side * row)
        for y in 0..<side {
            for x in 0..<row {
                var sum = 0.0
                for (offset, weight) in down.weights[y].enumerated() {
                    sum += weight * Double(wide[(down.first[y] + offset) * row + x])
                }
                result[y * row + x] = Float(sum)
            }
        }
        return result
    }

    /// Where logits, enlarged bilinearly to a picture's size, are above zero.
    ///
    /// - Parameter logits: `side` rows of `side` values.
    public static func mask(_ logits: [Float], side: Int, width: Int, height: Int) -> Mask {
        let columns = places(from: side, to: width)
        let rows = places(from: side, to: height)
        let bytes = (width + 7) / 8
        var bits = [UInt8](repeating: 0, count: bytes * height)
        var line = [Float](repeating: 0, count: side)
        logits.withUnsafeBufferPointer { logits in
            columns.withUnsafeBufferPointer { columns in
                bits.withUnsafeMutableBufferPointer { bits in
                    line.withUnsafeMutableBufferPointer { line in
                        for (y, row) in rows.enumerated() {
                            let (low, high) = (row.low * side, row.high * side)
                            for x in 0..<side {
                                line[x] = row.near * logits[low + x] + row.far * logits[high + x]
                            }
                            for x in 0..<width {
                                let at = columns[x]
                                if at.near * line[at.low] + at.far * line[at.high] > 0 {
                                    bits[y * bytes + x / 8] |= 0x80 >> UInt8(x % 8)
                                }
                            }
                        }
                    }
                }
            }
        }
        return Mask(width: width, height: height, bits: Data(bits))
    }

    private struct Between {
        let low, high: Int
        let near, far: Float
    }

    private static func places(from input: Int, to output: Int) -> [Between] {
        (0..<output).map { place in
            let scale = Double(input) / Double(output)
            let center = max((Double(place) + 0.5) * scale - 0.5, 0)
            let low = min(Int(center), input - 1)
            let fraction = center - Double(low)
            return Between(
                low: low, high: min(low + 1, input - 1), near: Float(1 - fraction),
                far: Float(fraction))
        }
    }

    /// Fills small holes: background regions of at most `area` pixels, neighbours over corners
    /// included, get a logit just above the threshold.
    public static func fillHoles(_ logits: inout [Float], side: Int, area: Int) {
        var seen = logits.map { $0 > 0 }
        for start in 0..<logits.count where !seen[start] {
            var region = [start]
            seen[start] = true
            var next = 0
            while next < region.count {
                let (y, x) = (region[next] / side, region[next] % side)
                next += 1
                for ny in max(y - 1, 0)...min(y + 1, side - 1) {
                    for nx in max(x - 1, 0)...min(x + 1, side - 1) where !seen[ny * side + nx] {
                        seen[ny * side + nx] = true
                        region.append(ny * side + nx)
                    }
                }
            }
            if region.count <= area { for pixel in region { logits[pixel] = 0.1 } }
        }
    }
}
