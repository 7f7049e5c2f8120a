#if canImport(CoreVideo) && canImport(CoreMedia) && canImport(CoreGraphics)
    import CoreGraphics
    import CoreMedia
    import CoreVideo
    import Foundation
    import Sam2Core

    extension PixelFrame {
        /// Copies a pixel buffer, as a camera or a player gives it.
        ///
        /// - Parameters:
        ///   - buffer: 32BGRA, 420YpCbCr8BiPlanar of video or full range.
        ///   - orientation: 1 to 8, as EXIF counts.
        /// - Throws: ``FrameError`` for other formats.
        public init(_ buffer: CVPixelBuffer, orientation: Int = 1) throws {
            CVPixelBufferLockBaseAddress(buffer, .readOnly)
            defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
            let width = CVPixelBufferGetWidth(buffer)
            let height = CVPixelBufferGetHeight(buffer)
            let kind = CVPixelBufferGetPixelFormatType(buffer)
            switch kind {
            case kCVPixelFormatType_32BGRA:
                let row = CVPixelBufferGetBytesPerRow(buffer)
                let data = try Self.copy(CVPixelBufferGetBaseAddress(buffer), row * height)
                self.init(
                    .bgra, width: width, height: height, bytesPerRow: row,
                    orientation: orientation, data: data)
            case kCVPixelFormatType_420YpCbCr8BiPlanarVideoRange,
                kCVPixelFormatType_420YpCbCr8BiPlanarFullRange:
                let rows = (0...1).map { CVPixelBufferGetBytesPerRowOfPlane(buffer, $0) }
                let lines = (0...1).map { CVPixelBufferGetHeightOfPlane(buffer, $0) }
                var data = try Self.copy(
                    CVPixelBufferGetBaseAddressOfPlane(buffer, 0), rows[0] * lines[0])
                data += try Self.copy(
                    CVPixelBufferGetBaseAddressOfPlane(buffer, 1), rows[1] * lines[1])
                let colors = Colors(
                    matrix: Self.matrix(of: buffer),
                    isFullRange: kind == kCVPixelFormatType_420YpCbCr8BiPlanarFullRange,
                    planeOffset: rows[0] * lines[0], bytesPerRow: rows[1])
                self.init(
                    .nv12, width: width, height: height, bytesPerRow: rows[0], colors: colors,
                    orientation: orientation, data: data)
            default:
                throw FrameError("pixel format \(kind); ask for 32BGRA or 420YpCbCr8BiPlanar")
            }
        }

        /// Copies the picture of a sample buffer.
        public init(_ sample: CMSampleBuffer, orientation: Int = 1) throws {
            guard let buffer = CMSampleBufferGetImageBuffer(sample) else {
                throw FrameError("a sample buffer without a picture")
            }
            try self.init(buffer, orientation: orientation)
        }

        /// Draws a picture.
        public init(_ image: CGImage) throws {
            let (width, height) = (image.width, image.height)
            var data = Data(count: width * height * 4)
            let isDrawn = data.withUnsafeMutableBytes { (bytes: UnsafeMutableRawBufferPointer) in
                let context = CGContext(
                    data: bytes.baseAddress, width: width, height: height, bitsPerComponent: 8,
                    bytesPerRow: width * 4, space: CGColorSpace(name: CGColorSpace.sRGB)!,
                    bitmapInfo: CGImageAlphaInfo.noneSkipLast.rawValue)
                context?.draw(image, in: CGRect(x: 0, y: 0, width: width, height: height))
                return context != nil
            }
            guard isDrawn else { throw FrameError("a picture of \(width) x \(height)") }
            self.init(.rgba, width: width, height: height, data: data)
        }

        private static func copy(_ base: UnsafeMutableRawPointer?, _ count: Int) throws -> Data {
            guard let base else { throw FrameError("a pixel buffer without memory") }
            return Data(bytes: base, count: count)
        }

        private static func matrix(of buffer: CVPixelBuffer) -> Int {
            let tag = CVBufferCopyAttachment(buffer, kCVImageBufferYCbCrMatrixKey, nil) as? String
            return tag == kCVImageBufferYCbCrMatrix_ITU_R_601_4 as String ? 601 : 709
        }
    }
#endif
