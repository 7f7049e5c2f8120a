@_exported import CoreVideo
import Foundation

public class CMSampleBuffer {}
public struct CMTime: Sendable { public static let positiveInfinity = CMTime() }
public struct CMTimeRange: Sendable { public init(start: CMTime, duration: CMTime) {} }
public func CMSampleBufferGetImageBuffer(_ sample: CMSampleBuffer) -> CVPixelBuffer? { fatalError() }
public func CMSampleBufferGetNumSamples(_ sample: CMSampleBuffer) -> Int { fatalError() }
public func CMSampleBufferGetPresentationTimeStamp(_ sample: CMSampleBuffer) -> CMTime { fatalError() }
public func CMTimeCompare(_ one: CMTime, _ other: CMTime) -> Int32 { fatalError() }
