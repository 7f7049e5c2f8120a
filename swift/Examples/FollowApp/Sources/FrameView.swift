import FollowerKit
import Sam2Apple
import Sam2Core
import SwiftUI

/// A frame with the masks over it; a click is on the object.
struct FrameView: View {
    let picture: CGImage?
    let masks: FrameMasks?
    let clicked: @MainActor (Click) async -> Void

    var body: some View {
        GeometryReader { geometry in
            let fit = Fit(
                width: picture?.width ?? 1, height: picture?.height ?? 1,
                inWidth: geometry.size.width, inHeight: geometry.size.height)
            Canvas { context, _ in
                context.translateBy(x: fit.left, y: fit.top)
                context.scaleBy(x: fit.scale, y: fit.scale)
                guard let picture else { return }
                context.draw(Image(decorative: picture, scale: 1), at: .zero, anchor: .topLeading)
                for (index, object) in (masks?.objects ?? []).enumerated() {
                    let (red, green, blue) = Overlay.colors[index % Overlay.colors.count]
                    let color = Color(
                        red: Double(red) / 255, green: Double(green) / 255,
                        blue: Double(blue) / 255)
                    let path = Path(object.mask.cgPath)
                    context.fill(
                        path, with: .color(color.opacity(0.4)), style: FillStyle(eoFill: true))
                    context.stroke(path, with: .color(color), lineWidth: 2)
                }
            }
            .onTapGesture { place in
                let (x, y) = fit.pixel(x: place.x, y: place.y)
                Task { await clicked(.on(x, y)) }
            }
        }
    }
}

extension PixelFrame {
    /// The frame as a picture.
    var cgImage: CGImage? {
        let size = uprightSize
        guard let pixels = try? rgb(), let provider = CGDataProvider(data: Data(pixels) as CFData)
        else { return nil }
        return CGImage(
            width: size.width, height: size.height, bitsPerComponent: 8, bitsPerPixel: 24,
            bytesPerRow: size.width * 3, space: CGColorSpace(name: CGColorSpace.sRGB)!,
            bitmapInfo: CGBitmapInfo(rawValue: CGImageAlphaInfo.none.rawValue),
            provider: provider, decode: nil, shouldInterpolate: true, intent: .defaultIntent)
    }
}
