import AVFoundation
import Sam2Apple
import Sam2Core

/// The camera's frames; those that nobody takes in time are dropped but for the newest.
final class Camera: NSObject, AVCaptureVideoDataOutputSampleBufferDelegate, @unchecked Sendable {
    private let session = AVCaptureSession()
    private let queue = DispatchQueue(label: "camera")
    private var feed: AsyncStream<PixelFrame>.Continuation?

    /// Prepares the default camera; the system asks for permission when it starts.
    static func make() throws -> Camera {
        let camera = Camera()
        try camera.prepare()
        return camera
    }

    private func prepare() throws {
        guard let device = AVCaptureDevice.default(for: .video) else {
            throw FrameError("no camera")
        }
        session.addInput(try AVCaptureDeviceInput(device: device))
        let output = AVCaptureVideoDataOutput()
        output.videoSettings = [
            kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA
        ]
        output.alwaysDiscardsLateVideoFrames = true
        output.setSampleBufferDelegate(self, queue: queue)
        session.addOutput(output)
    }

    /// Starts the camera; leaving the loop over the frames stops it.
    func frames() -> AsyncStream<PixelFrame> {
        let (stream, feed) = AsyncStream<PixelFrame>.makeStream(
            bufferingPolicy: .bufferingNewest(1))
        self.feed = feed
        feed.onTermination = { [weak self] _ in self?.stop() }
        queue.async { self.session.startRunning() }
        return stream
    }

    /// Stops the camera.
    func stop() {
        feed?.finish()
        queue.async { self.session.stopRunning() }
    }

    func captureOutput(
        _ output: AVCaptureOutput, didOutput sample: CMSampleBuffer,
        from connection: AVCaptureConnection
    ) {
        if let frame = try? PixelFrame(sample) { feed?.yield(frame) }
    }
}
