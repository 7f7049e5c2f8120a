import Foundation

/// Why a frame cannot be used.
public struct FrameError: Error, Equatable, CustomStringConvertible {
    /// One line for people.
    public let description: String

    public init(_ description: String) { self.description = description }
}

extension PixelFrame {
    /// Width and height once the frame is upright.
    public var uprightSize: (width: Int, height: Int) {
        orientation >= 5 ? (height, width) : (width, height)
    }

    /// The frame as upright RGB, rows without gaps.
    ///
    /// - Throws: ``FrameError`` where size, stride and data do not fit together.
    public func rgb() throws -> [UInt8] {
        try check()
        return upright(format == .nv12 ? fromNV12() : packed())
    }

    private func check() throws {
        guard width > 0, height > 0, width <= 16384, height <= 16384, (1...8).contains(orientation)
        else { throw FrameError("a frame of \(width) x \(height), orientation \(orientation)") }
        let row = width * format.bytesPerPixel
        var needed = bytesPerRow * (height - 1) + row
        guard bytesPerRow >= row else {
            throw FrameError("\(bytesPerRow) bytes a row, but a row has \(row)")
        }
        if format == .nv12 {
            let colors = self.colors ?? defaultColors
            let pairs = (width + 1) / 2 * 2
            guard colors.bytesPerRow >= pairs, colors.planeOffset >= needed,
                [601, 709].contains(colors.matrix)
            else { throw FrameError("the second plane of NV12 does not fit") }
            needed = colors.planeOffset + colors.bytesPerRow * ((height + 1) / 2 - 1) + pairs
        }
        guard data.count >= needed else {
            throw FrameError("a frame needs \(needed) bytes; got \(data.count)")
        }
    }

    private var defaultColors: Colors {
        Colors(planeOffset: bytesPerRow * height, bytesPerRow: bytesPerRow)
    }

    private func packed() -> [UInt8] {
        let depth = format.bytesPerPixel
        let (red, blue) = format == .bgra ? (2, 0) : (0, 2)
        var result = [UInt8](repeating: 0, count: width * height * 3)
        data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            for y in 0..<height {
                for x in 0..<width {
                    let from = y * bytesPerRow + x * depth
                    let to = (y * width + x) * 3
                    result[to] = bytes[from + red]
                    result[to + 1] = bytes[from + 1]
                    result[to + 2] = bytes[from + blue]
                }
            }
        }
        return result
    }

    private func fromNV12() -> [UInt8] {
        let colors = self.colors ?? defaultColors
        let (red, blue): (Float, Float) = colors.matrix == 601 ? (0.299, 0.114) : (0.2126, 0.0722)
        let green = 1 - red - blue
        let luma: Float = colors.isFullRange ? 1 : 255 / 219
        let chroma: Float = colors.isFullRange ? 1 : 255 / 224
        let black: Float = colors.isFullRange ? 0 : 16
        let (toRed, toBlue) = (2 * (1 - red) * chroma, 2 * (1 - blue) * chroma)
        func byte(_ value: Float) -> UInt8 {
            UInt8(min(max(value.rounded(.toNearestOrEven), 0), 255))
        }
        var result = [UInt8](repeating: 0, count: width * height * 3)
        data.withUnsafeBytes { (bytes: UnsafeRawBufferPointer) in
            for y in 0..<height {
                for x in 0..<width {
                    let brightness = luma * (Float(bytes[y * bytesPerRow + x]) - black)
                    let pair = colors.planeOffset + y / 2 * colors.bytesPerRow + x / 2 * 2
                    let (cb, cr) = (Float(bytes[pair]) - 128, Float(bytes[pair + 1]) - 128)
                    let to = (y * width + x) * 3
                    result[to] = byte(brightness + toRed * cr)
                    result[to + 1] = byte(
                        brightness - toBlue * blue / green * cb - toRed * red / green * cr)
                    result[to + 2] = byte(brightness + toBlue * cb)
                }
            }
        }
        return result
    }

    private func upright(_ pixels: [UInt8]) -> [UInt8] {
        if orientation == 1 { return pixels }
        let size = uprightSize
        var result = [UInt8](repeating: 0, count: pixels.count)
        for y in 0..<size.height {
            for x in 0..<size.width {
                let (fromX, fromY) =
                    switch orientation {
                    case 2: (width - 1 - x, y)
                    case 3: (width - 1 - x, height - 1 - y)
                    case 4: (x, height - 1 - y)
                    case 5: (y, x)
                    case 6: (y, height - 1 - x)
                    case 7: (width - 1 - y, height - 1 - x)
                    default: (width - 1 - y, x)
                    }
                for channel in 0..<3 {
                    result[(y * size.width + x) * 3 + channel] =
                        pixels[(fromY * width + fromX) * 3 + channel]
                }
            }
        }
        return result
    }
}
