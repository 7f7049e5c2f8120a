/// One object on one frame.
public struct FoundObject: Sendable, Hashable {
    /// The number that the app gave it.
    public let id: Int
    /// Its pixels; all empty where it is not in the picture.
    public let mask: Mask
    /// The model's estimate of how well the mask fits, 0 to 1.
    public let predictedIoU: Double
    /// A logit: above zero the object is in the picture.
    public let presence: Double

    public init(id: Int, mask: Mask, predictedIoU: Double, presence: Double) {
        self.id = id
        self.mask = mask
        self.predictedIoU = predictedIoU
        self.presence = presence
    }

    /// Whether the object is in the picture.
    public var isPresent: Bool { presence > 0 }
}

/// The masks of all objects on one frame.
public struct FrameMasks: Sendable, Hashable {
    /// The frame's number, from zero.
    public let frame: Int
    /// Columns of pixels of the upright frame.
    public let width: Int
    /// Rows of pixels of the upright frame.
    public let height: Int
    /// In the order in which they were first prompted.
    public let objects: [FoundObject]

    public init(frame: Int, width: Int, height: Int, objects: [FoundObject]) {
        self.frame = frame
        self.width = width
        self.height = height
        self.objects = objects
    }

    /// The object with a number, or nil.
    public subscript(id: Int) -> FoundObject? { objects.first { $0.id == id } }
}
