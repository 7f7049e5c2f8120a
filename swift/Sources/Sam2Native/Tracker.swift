import Foundation
import Sam2Core

/// Follows objects from frame to frame; the rules are those of `sam2_mlx/tracking/session.py`.
struct Tracker<R: Runtime> {
    typealias Tensor = R.Tensor
    typealias Bank = MemoryBank<Tensor, Tensor>

    /// A mask as it was shown.
    struct Shown {
        var logits: [Float]
        let iou, presence: Double
        let pointer: Tensor
        let presenceTensor: Tensor
    }

    struct Draft {
        let shown: Shown
        let isPrompted: Bool
    }

    struct Object {
        var bank = Bank()
        var drafts: [Int: Draft] = [:]
        var shown: [Int: Shown] = [:]
        /// Frames that it was followed to, and whether backwards.
        var tracked: [Int: Bool] = [:]
    }

    let network: Network<R>
    let schedule: Schedule
    /// Whether every frame is kept, for corrections anywhere and for both directions.
    let keepsAll: Bool
    let isStream: Bool
    private(set) var ids: [Int] = []
    private var objects: [Int: Object] = [:]
    private var backwards: Bool?

    static var holeArea: Int { 8 }
    /// Prompted frames that a frame of a stream looks at, so that its cost is bounded.
    static var streamPrompted: Int { 8 }

    init(_ network: Network<R>, clipLength: Int?, keepsAll: Bool) {
        self.network = network
        let room = network.facts.maxPrompted
        schedule = Schedule(
            memories: network.facts.memories, maxPointers: network.facts.maxPointers,
            maxPrompted: clipLength == nil ? min(Self.streamPrompted, room) : room,
            clipLength: clipLength)
        self.keepsAll = keepsAll
        isStream = clipLength == nil
    }

    /// The earliest prompted frame.
    var firstPrompted: Int? { objects.values.compactMap { $0.bank.promptedFrames.min() }.min() }

    /// Frames with prompts that are not remembered yet.
    var draftFrames: [Int] { Set(objects.values.flatMap { $0.drafts.keys }).sorted() }

    mutating func remove(_ id: Int) -> Bool {
        ids.removeAll { $0 == id }
        return objects.removeValue(forKey: id) != nil
    }

    mutating func reset() {
        ids = []
        objects = [:]
        backwards = nil
    }

    /// Remembers the prompts of a frame, as their masks were shown.
    mutating func commit(_ frame: Int, _ features: Network<R>.Features) throws {
        for id in ids {
            guard var object = objects[id], let draft = object.drafts.removeValue(forKey: frame)
            else { continue }
            let shown = draft.shown
            let tokens = try network.remember(
                features, shown: shown.logits, presence: shown.presenceTensor)
            try network.runtime.evaluate([tokens])
            object.bank.write(
                .init(tokens: tokens, pointer: shown.pointer), frame: frame,
                isPrompted: draft.isPrompted)
            object.shown[frame] = shown
            objects[id] = object
        }
    }

    /// Whether something can be followed.
    func requirePrompts() throws {
        if ids.isEmpty { throw NativeError.state("nothing to follow: prompt an object first") }
        for id in ids where objects[id]?.bank.promptedFrames.isEmpty ?? true {
            throw NativeError.state("object \(id) has no prompt left")
        }
    }

    /// Follows all objects to a frame.
    mutating func track(_ frame: Int, _ features: Network<R>.Features, backwards: Bool) throws {
        if ids.isEmpty { return }
        if !keepsAll, let before = self.backwards, before != backwards {
            throw NativeError.state(
                "a rolling memory follows one direction; keep everything or open another session")
        }
        self.backwards = backwards
        for id in ids {
            guard var object = objects[id] else { continue }
            if !(object.bank.isPrompted(frame) && object.shown[frame] != nil) {
                try track(&object, frame, features, backwards)
            }
            object.tracked[frame] = backwards
            if !keepsAll { tidy(&object, frame, backwards) }
            objects[id] = object
        }
    }

    private func track(
        _ object: inout Object, _ frame: Int, _ features: Network<R>.Features, _ backwards: Bool
    ) throws {
        let plan = plan(object, frame, backwards)
        // Its prompts were removed before anything was remembered.
        if plan.spatial.isEmpty { return }
        let conditioned = try network.attend(
            features, plan: plan, bank: object.bank, span: schedule.pointerSpan)
        let (answer, _) = try network.decode(features, conditioned: conditioned)
        let tokens = try network.remember(
            features, predicted: answer.logits, presence: answer.presence)
        try network.runtime.evaluate([answer.logits, answer.iou, answer.pointer, tokens])
        object.bank.write(
            .init(tokens: tokens, pointer: answer.pointer), frame: frame, isPrompted: false)
        object.shown[frame] = try shown(answer)
    }

    private func plan(_ object: Object, _ frame: Int, _ backwards: Bool) -> Schedule.Plan {
        schedule.plan(
            frame, prompted: object.bank.promptedFrames, recent: object.bank.recentFrames,
            backwards: backwards)
    }

    private func tidy(_ object: inout Object, _ frame: Int, _ backwards: Bool) {
        object.bank.tidy(after: frame, schedule: schedule, backwards: backwards)
        object.tracked = [frame: backwards]
        let bank = object.bank
        let stays = isStream ? { _ in false } : { (other: Int) in bank.isPrompted(other) }
        object.shown = object.shown.filter { $0.key == frame || stays($0.key) }
    }

    /// Points at an object.
    mutating func prompt(
        _ id: Int, _ frame: Int, _ features: Network<R>.Features, _ prompt: Prompt,
        width: Int, height: Int
    ) throws {
        var object = objects[id] ?? Object()
        let direction = object.tracked[frame]
        let isInitial = direction == nil || object.bank.promptedFrames.isEmpty
        let before = object.drafts[frame]?.shown ?? object.shown[frame]
        let side = network.facts.imageSize
        let answer: Network<R>.Answer
        switch prompt {
        case .mask(let mask):
            answer = try network.given(features, mask: Resampling.prompt(mask, side: side))
        case .points, .box:
            let points = try prompt.points(width: width, height: height, side: side, Network<R>.self)
            let conditioned =
                isInitial
                ? features.bare
                : try network.attend(
                    features, plan: plan(object, frame, direction!), bank: object.bank,
                    span: schedule.pointerSpan)
            answer = try network.decode(
                features, conditioned: conditioned, points: points, previous: before?.logits
            ).0
        }
        let isPrompted = isInitial || object.bank.isPrompted(frame)
        object.drafts[frame] = Draft(shown: try shown(answer), isPrompted: isPrompted)
        if objects.updateValue(object, forKey: id) == nil { ids.append(id) }
    }

    private func shown(_ answer: Network<R>.Answer) throws -> Shown {
        let runtime = network.runtime
        try runtime.evaluate([answer.logits, answer.iou, answer.presence, answer.pointer])
        var logits = try runtime.floats(answer.logits)
        Resampling.fillHoles(&logits, side: network.facts.maskSize, area: Self.holeArea)
        return Shown(
            logits: logits, iou: Double(try runtime.floats(answer.iou)[0]),
            presence: Double(try runtime.floats(answer.presence)[0]), pointer: answer.pointer,
            presenceTensor: answer.presence)
    }

    /// The masks that were shown last on a frame.
    func masks(_ frame: Int, width: Int, height: Int) -> FrameMasks {
        let side = network.facts.maskSize
        let found = ids.map { id in
            guard let object = objects[id],
                let shown = object.drafts[frame]?.shown ?? object.shown[frame]
            else {
                let empty = Mask(width: width, height: height) { _, _ in false }
                return FoundObject(id: id, mask: empty, predictedIoU: 0, presence: -1024)
            }
            let mask = Resampling.mask(shown.logits, side: side, width: width, height: height)
            return FoundObject(
                id: id, mask: mask, predictedIoU: shown.iou, presence: shown.presence)
        }
        return FrameMasks(frame: frame, width: width, height: height, objects: found)
    }
}

extension Prompt {
    /// Points and box in pixels of the model's input.
    func points<R: Runtime>(
        width: Int, height: Int, side: Int, _: Network<R>.Type
    ) throws -> Network<R>.Points {
        var places: [(x: Double, y: Double, label: Int32)] = []
        if case .box(let box, _) = self {
            guard box.width > 0, box.height > 0 else {
                throw NativeError.input("a box without an area")
            }
            // Boxes come first, as in training.
            places = [(box.left, box.top, 2), (box.right, box.bottom, 3)]
        }
        switch self {
        case .points(let clicks), .box(_, let clicks):
            places += clicks.map { ($0.x, $0.y, $0.isOnObject ? 1 : 0) }
        case .mask: break
        }
        guard !places.isEmpty, places.allSatisfy({ $0.x.isFinite && $0.y.isFinite }) else {
            throw NativeError.input("nothing to segment: give points, a box or a mask")
        }
        // Rounded as in Python: a float, a fraction in double precision, a float again.
        func scaled(_ place: Double, _ length: Int) -> Float {
            Float(Double(Float(place)) / Double(length)) * Float(side)
        }
        var points = Network<R>.Points(coords: [], labels: [])
        for place in places {
            points.coords += [scaled(place.x, width), scaled(place.y, height)]
            points.labels.append(place.label)
        }
        return points
    }
}
