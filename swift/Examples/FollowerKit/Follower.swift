import Foundation
import Sam2Core

/// Follows clicked objects through a stream of frames, whichever engine does it.
public struct Follower<Video: VideoSession>: Sendable {
    private let video: Video
    private let clicks: [Click]
    private var frames = 0

    public init(_ video: Video, clicks: [Click]) {
        self.video = video
        self.clicks = clicks
    }

    /// The masks of the next frame; on the first one the objects are clicked.
    public mutating func follow(_ frame: PixelFrame) async throws -> FrameMasks {
        var masks = try await video.step(frame)
        if frames == 0 {
            for (index, click) in clicks.enumerated() {
                masks = try await video.prompt(object: index + 1, .points([click]))
            }
        }
        frames += 1
        return masks
    }
}
