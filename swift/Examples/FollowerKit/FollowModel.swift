import Observation
import Sam2Core

/// What a window shows while objects are clicked and followed; without a window of its own.
@MainActor
@Observable
public final class FollowModel<Video: VideoSession> {
    /// The masks shown last.
    public private(set) var masks: FrameMasks?
    /// What went wrong last, for people.
    public private(set) var message: String?
    /// Whether a clip is being followed.
    public private(set) var isFollowing = false

    @ObservationIgnored private let video: Video
    @ObservationIgnored private var work: Task<Void, Never>?
    @ObservationIgnored private var isBusy = false
    @ObservationIgnored private var clicks: [Int: [Click]] = [:]

    public init(_ video: Video) { self.video = video }

    /// Numbers of the objects that were clicked.
    public var objects: [Int] { clicks.keys.sorted() }

    /// Points at an object: a new one, or with its number one that was clicked before.
    public func click(_ click: Click, object: Int? = nil, frame: Int? = nil) async {
        stop()
        let id = object ?? (objects.last ?? 0) + 1
        let all = (clicks[id] ?? []) + [click]
        if let shown = await attempt({ try await $0.prompt(object: id, .points(all), frame: frame) })
        {
            clicks[id] = all
            masks = shown
        }
    }

    /// Follows all objects through the clip, until its end or ``stop()``.
    public func follow(from start: Int? = nil, backwards: Bool = false) {
        stop()
        isFollowing = true
        // What was clicked counts until here; on other frames places mean something else.
        for id in clicks.keys { clicks[id] = [] }
        let sequence = video.masks(from: start, backwards: backwards)
        work = Task { [weak self] in
            do {
                for try await shown in sequence {
                    guard let self, !Task.isCancelled else { return }
                    self.masks = shown
                }
            } catch { self?.message = "\(error)" }
            if !Task.isCancelled { self?.isFollowing = false }
        }
    }

    /// Ends following; what was followed stays.
    public func stop() {
        work?.cancel()
        work = nil
        isFollowing = false
    }

    /// Shows a frame of a camera; one that comes while another is worked on is dropped.
    public func show(_ frame: PixelFrame) async {
        if isBusy { return }
        isBusy = true
        defer { isBusy = false }
        for id in clicks.keys { clicks[id] = [] }
        if let shown = await attempt({ try await $0.step(frame) }) { masks = shown }
    }

    private func attempt(
        _ call: @Sendable (Video) async throws -> FrameMasks
    ) async -> FrameMasks? {
        do {
            message = nil
            return try await call(video)
        } catch {
            message = "\(error)"
            return nil
        }
    }
}

/// A frame in a window: as large as it can be, in the middle.
public struct Fit: Sendable, Equatable {
    /// Points of the window for one pixel.
    public let scale: Double
    /// Points of the window to the frame's left.
    public let left: Double
    /// Points of the window above the frame.
    public let top: Double

    public init(width: Int, height: Int, inWidth: Double, inHeight: Double) {
        scale = min(inWidth / Double(max(width, 1)), inHeight / Double(max(height, 1)))
        left = (inWidth - scale * Double(width)) / 2
        top = (inHeight - scale * Double(height)) / 2
    }

    /// The pixel at a place of the window.
    public func pixel(x: Double, y: Double) -> (x: Double, y: Double) {
        ((x - left) / scale, (y - top) / scale)
    }
}
