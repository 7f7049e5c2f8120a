import Foundation

/// A frame in memory, as cameras and windows have it.
public struct PixelFrame: Sendable {
    /// How pixels lie in memory, 8 bits each.
    public enum Format: String, Sendable, CaseIterable {
        /// Blue, green, red, and alpha, which is left out of account.
        case bgra = "BGRA"
        /// Red, green, blue, and alpha, which is left out of account.
        case rgba = "RGBA"
        /// Red, green, blue.
        case rgb = "RGB"
        /// Brightness, then a second plane with both colours of every two by two pixels.
        case nv12 = "NV12"
    }

    /// How NV12 holds colours.
    public struct Colors: Sendable, Hashable {
        /// 601 or 709.
        public var matrix: Int
        /// Whether brightness uses all values, or 16 to 235.
        public var isFullRange: Bool
        /// Bytes from the frame's first to the first of the second plane.
        public var planeOffset: Int
        /// Bytes from one row of the second plane to the next.
        public var bytesPerRow: Int

        public init(matrix: Int = 709, isFullRange: Bool = false, planeOffset: Int, bytesPerRow: Int)
        {
            self.matrix = matrix
            self.isFullRange = isFullRange
            self.planeOffset = planeOffset
            self.bytesPerRow = bytesPerRow
        }
    }

    /// How pixels lie in memory.
    public var format: Format
    /// Columns of pixels as they lie in memory.
    public var width: Int
    /// Rows of pixels as they lie in memory.
    public var height: Int
    /// Bytes from one row to the next.
    public var bytesPerRow: Int
    /// Only for NV12.
    public var colors: Colors?
    /// 1 to 8, as EXIF counts: how the frame is turned upright.
    public var orientation: Int
    /// The rows, from top to bottom; the last may end with its last pixel.
    public var data: Data

    public init(
        _ format: Format, width: Int, height: Int, bytesPerRow: Int? = nil, colors: Colors? = nil,
        orientation: Int = 1, data: Data
    ) {
        self.format = format
        self.width = width
        self.height = height
        self.bytesPerRow = bytesPerRow ?? width * format.bytesPerPixel
        self.colors = colors
        self.orientation = orientation
        self.data = data
    }
}

extension PixelFrame.Format {
    /// Bytes from one pixel of the first plane to the next.
    public var bytesPerPixel: Int {
        switch self {
        case .bgra, .rgba: 4
        case .rgb: 3
        case .nv12: 1
        }
    }
}
