@_exported import CoreMedia
import Foundation

public struct AVMediaType: Sendable { public static let video = AVMediaType() }
public struct AVAsyncProperty<Root, Value>: Sendable {}
extension AVAsyncProperty where Root == AVAssetTrack, Value == CGSize {
    public static var naturalSize: Self { fatalError() }
}
extension AVAsyncProperty where Root == AVAssetTrack, Value == CGAffineTransform {
    public static var preferredTransform: Self { fatalError() }
}
extension AVAsyncProperty where Root == AVAssetTrack, Value == Float {
    public static var nominalFrameRate: Self { fatalError() }
}
public class AVAssetTrack: @unchecked Sendable {
    public func load<A, B, C>(
        _ a: AVAsyncProperty<AVAssetTrack, A>, _ b: AVAsyncProperty<AVAssetTrack, B>,
        _ c: AVAsyncProperty<AVAssetTrack, C>
    ) async throws -> (A, B, C) { fatalError() }
}
public class AVURLAsset: @unchecked Sendable {
    public init(url: URL) {}
    public func loadTracks(withMediaType type: AVMediaType) async throws -> [AVAssetTrack] { fatalError() }
}
public class AVAssetReaderTrackOutput {
    public var alwaysCopiesSampleData = true
    public init(track: AVAssetTrack, outputSettings: [String: Any]?) {}
    public func copyNextSampleBuffer() -> CMSampleBuffer? { fatalError() }
}
public class AVAssetReader {
    public var timeRange: CMTimeRange { get { fatalError() } set {} }
    public init(asset: AVURLAsset) throws {}
    public func add(_ output: AVAssetReaderTrackOutput) {}
    public func startReading() -> Bool { fatalError() }
}
