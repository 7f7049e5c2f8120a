#if canImport(AVFoundation) && canImport(CoreMedia)
    import AVFoundation
    import CoreMedia
    import Foundation
    import Sam2Core
    import Sam2Native

    /// The frames of a video file, for an engine that does not read files itself.
    public final class AssetFrames: FrameSource, @unchecked Sendable {
        public let facts: ClipFacts
        private let asset: AVURLAsset
        private let track: AVAssetTrack
        private let times: [CMTime]
        private let orientation: Int
        private let lock = NSLock()
        private var output: AVAssetReaderTrackOutput?
        private var reader: AVAssetReader?
        private var next = 0

        /// Opens a file and looks at the time of each of its frames.
        public init(_ file: URL) async throws {
            asset = AVURLAsset(url: file)
            guard let track = try await asset.loadTracks(withMediaType: .video).first else {
                throw FrameError("\(file.path) has no video")
            }
            self.track = track
            let (size, transform, rate) = try await track.load(
                .naturalSize, .preferredTransform, .nominalFrameRate)
            times = try Self.times(of: track, in: asset)
            orientation = Self.orientation(of: transform)
            let (width, height) = (Int(size.width.rounded()), Int(size.height.rounded()))
            let isTurned = orientation >= 5
            facts = ClipFacts(
                frameCount: times.count, width: isTurned ? height : width,
                height: isTurned ? width : height, frameRate: Double(rate))
        }

        /// A frame; the one after the last is read on, any other is looked for.
        public func frame(_ number: Int) throws -> PixelFrame {
            lock.lock()
            defer { lock.unlock() }
            if number != next || output == nil { try seek(number) }
            guard let sample = output?.copyNextSampleBuffer() else {
                output = nil
                throw FrameError("frame \(number) cannot be decoded")
            }
            next = number + 1
            return try PixelFrame(sample, orientation: orientation)
        }

        private func seek(_ number: Int) throws {
            guard times.indices.contains(number) else {
                throw FrameError("there is no frame \(number); there are \(times.count)")
            }
            let reader = try AVAssetReader(asset: asset)
            let format = [
                kCVPixelBufferPixelFormatTypeKey as String:
                    kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange
            ]
            let output = AVAssetReaderTrackOutput(track: track, outputSettings: format)
            output.alwaysCopiesSampleData = false
            reader.timeRange = CMTimeRange(start: times[number], duration: .positiveInfinity)
            reader.add(output)
            guard reader.startReading() else { throw FrameError("the file cannot be read") }
            self.reader = reader
            self.output = output
            next = number
        }

        /// The time of every frame, in the order they are shown.
        private static func times(of track: AVAssetTrack, in asset: AVURLAsset) throws -> [CMTime] {
            let reader = try AVAssetReader(asset: asset)
            let output = AVAssetReaderTrackOutput(track: track, outputSettings: nil)
            reader.add(output)
            guard reader.startReading() else { throw FrameError("the file cannot be read") }
            var times: [CMTime] = []
            while let sample = output.copyNextSampleBuffer() {
                if CMSampleBufferGetNumSamples(sample) > 0 {
                    times.append(CMSampleBufferGetPresentationTimeStamp(sample))
                }
            }
            return times.sorted { CMTimeCompare($0, $1) < 0 }
        }

        private static func orientation(of transform: CGAffineTransform) -> Int {
            switch (transform.a, transform.b, transform.c, transform.d) {
            case (0, 1, -1, 0): 6
            case (0, -1, 1, 0): 8
            case (-1, 0, 0, -1): 3
            default: 1
            }
        }
    }
#endif
