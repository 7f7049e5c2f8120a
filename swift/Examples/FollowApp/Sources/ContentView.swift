import FollowerKit
import Sam2Apple
import Sam2Core
import Sam2MLX
import Sam2Native
import SwiftUI
import UniformTypeIdentifiers

/// Choose a bundle, open a clip or the camera, click on things, follow them.
struct ContentView: View {
    typealias Model = FollowModel<NativeVideo<MLXRuntime>>

    enum Asked { case bundle, clip }

    @State private var engine: NativeEngine<MLXRuntime>?
    @State private var frames: AssetFrames?
    @State private var camera: Camera?
    @State private var model: Model?
    @State private var picture: CGImage?
    @State private var asked = Asked.bundle
    @State private var isAsking = false
    @State private var message = "Choose a bundle of sam2-mlx export."

    var body: some View {
        VStack {
            FrameView(picture: picture, masks: model?.masks) { click in
                let frame = frames == nil ? nil : model?.masks?.frame ?? 0
                await model?.click(click, frame: frame)
            }
            HStack {
                Button("Bundle") { ask(.bundle) }
                Button("Clip") { ask(.clip) }.disabled(engine == nil)
                Button("Camera") { Task { await attempt(startCamera) } }.disabled(engine == nil)
                Button(model?.isFollowing == true ? "Stop" : "Follow") {
                    if model?.isFollowing == true { model?.stop() } else { model?.follow() }
                }
                .disabled(frames == nil || model?.objects.isEmpty != false)
            }
            Text(model?.message ?? message).font(.footnote)
        }
        .padding()
        .fileImporter(
            isPresented: $isAsking, allowedContentTypes: asked == .bundle ? [.folder] : [.movie]
        ) { result in
            guard case .success(let url) = result else { return }
            Task { await attempt { try await open(url) } }
        }
        .onChange(of: model?.masks?.frame) { _, number in
            if let frames, let number, let frame = try? frames.frame(number) {
                picture = frame.cgImage
            }
        }
    }

    private func ask(_ what: Asked) {
        asked = what
        isAsking = true
    }

    private func attempt(_ work: @MainActor () async throws -> Void) async {
        do { try await work() } catch { message = "\(error)" }
    }

    private func open(_ url: URL) async throws {
        _ = url.startAccessingSecurityScopedResource()
        camera?.stop()
        if asked == .bundle {
            engine = try await NativeEngine<MLXRuntime>(bundle: url)
            message = "Open a clip or the camera, and click on things."
        } else if let engine {
            let frames = try await AssetFrames(url)
            model = Model(try await engine.open(frames, keepsAll: true))
            picture = try frames.frame(0).cgImage
            self.frames = frames
        }
    }

    private func startCamera() async throws {
        guard let engine else { return }
        let model = Model(try await engine.stream())
        (self.model, frames) = (model, nil)
        let camera = try Camera.make()
        self.camera = camera
        for await frame in camera.frames() {
            picture = frame.cgImage
            await model.show(frame)
        }
    }
}
