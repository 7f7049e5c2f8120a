import Foundation
import Sam2Core

/// Pictures one after the other, as `ffmpeg -f image2pipe -c:v ppm` writes and reads them.
public enum PPM {
    /// The next picture of a stream, or nil at its end.
    ///
    /// - Parameter read: gives up to so many bytes, none at the end.
    public static func next(_ read: (Int) throws -> Data) throws -> PixelFrame? {
        guard let width = try number(read, magic: "P6") else { return nil }
        guard let height = try number(read), let top = try number(read), top == 255,
            (1...16384).contains(width), (1...16384).contains(height)
        else { throw FrameError("not a PPM of 8 bits") }
        var pixels = Data()
        while pixels.count < width * height * 3 {
            let part = try read(width * height * 3 - pixels.count)
            if part.isEmpty { throw FrameError("the picture ends too early") }
            pixels += part
        }
        return PixelFrame(.rgb, width: width, height: height, data: pixels)
    }

    /// A picture with its header.
    public static func data(width: Int, height: Int, pixels: [UInt8]) -> Data {
        Data("P6\n\(width) \(height)\n255\n".utf8) + Data(pixels)
    }

    /// A number of the header and the white space behind it; nil at the end of the stream.
    private static func number(_ read: (Int) throws -> Data, magic: String? = nil) throws -> Int? {
        var text = ""
        while true {
            guard let byte = try read(1).first else {
                if text.isEmpty { return nil }
                throw FrameError("the header ends too early")
            }
            let character = Character(UnicodeScalar(byte))
            if !character.isWhitespace {
                text.append(character)
                if text.count > 8 { throw FrameError("not a PPM") }
            } else if text == magic {
                text = ""
            } else if !text.isEmpty {
                guard let number = Int(text) else { throw FrameError("not a PPM") }
                return number
            }
        }
    }
}
