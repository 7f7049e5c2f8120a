import CoreGraphics

public class CIImage { public init(cgImage: CGImage) {} }
