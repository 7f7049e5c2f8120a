/// A place in a frame, and whether it lies on the object.
///
/// Coordinates are pixels of the upright frame, counted from its top left corner.
public struct Click: Sendable, Hashable {
    /// Pixels from the left edge.
    public var x: Double
    /// Pixels from the top edge.
    public var y: Double
    /// Whether the object covers the place.
    public var isOnObject: Bool

    public init(x: Double, y: Double, isOnObject: Bool = true) {
        self.x = x
        self.y = y
        self.isOnObject = isOnObject
    }

    /// A place on the object.
    public static func on(_ x: Double, _ y: Double) -> Click { Click(x: x, y: y) }

    /// A place that the object does not cover.
    public static func beside(_ x: Double, _ y: Double) -> Click {
        Click(x: x, y: y, isOnObject: false)
    }
}

/// A rectangle in pixels of the upright frame; the right and the lower edge are exclusive.
public struct Box: Sendable, Hashable {
    /// The first column.
    public var left: Double
    /// The first row.
    public var top: Double
    /// The column behind the last.
    public var right: Double
    /// The row behind the last.
    public var bottom: Double

    public init(left: Double, top: Double, right: Double, bottom: Double) {
        self.left = left
        self.top = top
        self.right = right
        self.bottom = bottom
    }

    /// Columns.
    public var width: Double { right - left }
    /// Rows.
    public var height: Double { bottom - top }
}

/// What is pointed at on one frame.
public enum Prompt: Sendable, Hashable {
    /// Clicks on the object, and beside it.
    case points([Click])
    /// A box around the object, with clicks for what it leaves open.
    case box(Box, [Click] = [])
    /// The object itself.
    case mask(Mask)
}
