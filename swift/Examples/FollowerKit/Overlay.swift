import Sam2Core

/// Draws masks over a frame.
public enum Overlay {
    /// Colours that are told apart, one object after the other.
    public static let colors: [(UInt8, UInt8, UInt8)] = [
        (255, 64, 64), (64, 160, 255), (80, 220, 100), (255, 200, 40), (200, 90, 255),
    ]

    /// The frame with every object tinted and its border drawn.
    ///
    /// - Parameters:
    ///   - masks: of this frame.
    ///   - pixels: RGB, rows without gaps.
    public static func draw(_ masks: FrameMasks, over pixels: [UInt8]) -> [UInt8] {
        var result = pixels
        for (index, object) in masks.objects.enumerated() {
            let color = colors[index % colors.count]
            let mask = object.mask
            for y in 0..<mask.height {
                for x in 0..<mask.width where mask[x, y] {
                    let isBorder =
                        !(mask[x - 1, y] && mask[x + 1, y] && mask[x, y - 1] && mask[x, y + 1])
                    let share: Int = isBorder ? 256 : 110
                    let at = (y * mask.width + x) * 3
                    for (channel, value) in [color.0, color.1, color.2].enumerated() {
                        let mixed = Int(value) * share + Int(result[at + channel]) * (256 - share)
                        result[at + channel] = UInt8(mixed / 256)
                    }
                }
            }
        }
        return result
    }
}
