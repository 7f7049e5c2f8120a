#if canImport(CoreGraphics) && canImport(CoreImage)
    import CoreGraphics
    import CoreImage
    import Foundation
    import Sam2Core

    extension Mask {
        /// The mask as a picture of 8-bit grey, white on the object.
        public var cgImage: CGImage? {
            guard let provider = CGDataProvider(data: gray8() as CFData) else { return nil }
            return CGImage(
                width: width, height: height, bitsPerComponent: 8, bitsPerPixel: 8,
                bytesPerRow: width, space: CGColorSpaceCreateDeviceGray(),
                bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
                provider: provider, decode: nil, shouldInterpolate: true,
                intent: .defaultIntent)
        }

        /// The mask for Core Image, such as the `inputMaskImage` of a blend.
        public var ciImage: CIImage? { cgImage.map { CIImage(cgImage: $0) } }

        /// The mask's border in pixels, from the top left corner: for a `CAShapeLayer` with the
        /// fill rule `.evenOdd`.
        public var cgPath: CGPath {
            let path = CGMutablePath()
            for ring in outline() {
                path.addLines(between: ring.map { CGPoint(x: $0.x, y: $0.y) })
                path.closeSubpath()
            }
            return path
        }
    }
#endif
