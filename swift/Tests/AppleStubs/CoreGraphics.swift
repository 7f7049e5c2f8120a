@_exported import Foundation


public typealias CFString = NSString
public typealias CFData = NSData
public class CGColorSpace { 
    public static let sRGB: CFString = "sRGB"
    public init?(name: CFString) {}
}
public func CGColorSpaceCreateDeviceGray() -> CGColorSpace { fatalError() }
public enum CGImageAlphaInfo: UInt32 { case none, noneSkipLast }
public struct CGBitmapInfo: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
}
public enum CGColorRenderingIntent { case defaultIntent }
public class CGDataProvider { public init?(data: CFData) {} }
public class CGImage {
    public var width: Int { fatalError() }
    public var height: Int { fatalError() }
    public init?(
        width: Int, height: Int, bitsPerComponent: Int, bitsPerPixel: Int, bytesPerRow: Int,
        space: CGColorSpace, bitmapInfo: CGBitmapInfo, provider: CGDataProvider,
        decode: UnsafePointer<CGFloat>?, shouldInterpolate: Bool, intent: CGColorRenderingIntent
    ) {}
}
public class CGContext {
    public init?(
        data: UnsafeMutableRawPointer?, width: Int, height: Int, bitsPerComponent: Int,
        bytesPerRow: Int, space: CGColorSpace, bitmapInfo: UInt32
    ) {}
    public func draw(_ image: CGImage, in rect: CGRect) {}
}
open class CGPath { public init() {} }
public class CGMutablePath: CGPath {
    override public init() {}
    public func addLines(between points: [CGPoint]) {}
    public func closeSubpath() {}
}
public struct CGAffineTransform: Sendable { public var a, b, c, d, tx, ty: CGFloat }
