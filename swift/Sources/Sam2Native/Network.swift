import Foundation
import Sam2Core

/// The functions of a bundle by name; see docs/app.md for what they take and give.
struct Network<R: Runtime>: Sendable {
    typealias Tensor = R.Tensor

    struct Features: Sendable {
        let coarse, fine, middle, bare: Tensor
    }

    struct Answer: Sendable {
        let logits, iou, pointer, presence: Tensor
    }

    /// The masks that an ambiguous prompt may mean.
    struct Offered {
        let logits, iou: Tensor
    }

    struct Points: Sendable {
        /// x, y of each in pixels of the model's input.
        var coords: [Float]
        /// 1 object, 0 background, 2 and 3 the corners of a box.
        var labels: [Int32]
    }

    let facts: BundleFacts
    let runtime: R

    func encode(frame: [UInt8]) throws -> Features {
        try encode(runtime.tensor(frame, [1, facts.imageSize, facts.imageSize, 3]))
    }

    func encode(picture: [Float]) throws -> Features {
        try encode(runtime.tensor(picture, [1, facts.imageSize, facts.imageSize, 3]))
    }

    private func encode(_ image: Tensor) throws -> Features {
        let found = try call(["image": image], gives: 4)
        return Features(coarse: found[0], fine: found[1], middle: found[2], bare: found[3])
    }

    /// The frame's features, conditioned on what a plan asks for.
    func attend(
        _ features: Features, plan: Schedule.Plan, bank: MemoryBank<Tensor, Tensor>, span: Int
    ) throws -> Tensor {
        let spatial = plan.spatial.compactMap { bank[$0.frame]?.tokens }
        let pointers = plan.pointers.compactMap { bank[$0.frame]?.pointer }
        guard spatial.count == plan.spatial.count, pointers.count == plan.pointers.count,
            let first = bank[plan.spatial[0].frame],
            let tier = facts.tiers.first(where: { $0[0] >= spatial.count && $0[1] >= pointers.count })
        else { throw NativeError.state("a memory was dropped too early") }
        var slots = plan.spatial.map { Int32($0.number) }
        slots += [Int32](repeating: 0, count: tier[0] - slots.count)
        var distances = plan.pointers.map { Float(Double($0.number) / Double(span)) }
        distances += [Float](repeating: 0, count: tier[1] - distances.count)
        return try call(
            [
                "coarse": features.coarse,
                "spatial": runtime.padded(spatial, count: tier[0], example: spatial[0]),
                "slots": runtime.tensor(slots, [tier[0]]),
                "pointers": runtime.padded(pointers, count: tier[1], example: first.pointer),
                "distances": runtime.tensor(distances, [1, tier[1]]),
                "used": runtime.tensor([Int32(spatial.count), Int32(pointers.count)], [2]),
            ], gives: 1)[0]
    }

    /// Masks for points, or without points for what memory says.
    func decode(
        _ features: Features, conditioned: Tensor, points: Points? = nil, previous: [Float]? = nil
    ) throws -> (Answer, Offered) {
        var arguments = [
            "conditioned": conditioned, "fine": features.fine, "middle": features.middle,
        ]
        if let points {
            let count = points.labels.count
            guard (1...facts.points).contains(count) else {
                throw NativeError.input("\(count) points; this bundle takes 1 to \(facts.points)")
            }
            arguments["coords"] = try runtime.tensor(points.coords, [1, count, 2])
            arguments["labels"] = try runtime.tensor(points.labels, [1, count])
            if let previous { arguments["previous"] = try logits(previous) }
        }
        let found = try call(arguments, gives: 6)
        let answer = Answer(
            logits: found[0], iou: found[1], pointer: found[2], presence: found[3])
        return (answer, Offered(logits: found[4], iou: found[5]))
    }

    /// The answer to a mask that is taken as it is; `side` times `side` zeros and ones.
    func given(_ features: Features, mask: [Float]) throws -> Answer {
        let side = facts.imageSize
        let found = try call(
            [
                "coarse": features.coarse, "fine": features.fine, "middle": features.middle,
                "mask": runtime.tensor(mask, [1, 1, side, side]),
            ], gives: 4)
        return Answer(logits: found[0], iou: found[1], pointer: found[2], presence: found[3])
    }

    /// Memory tokens of a prompted frame: of the mask as it was shown.
    func remember(_ features: Features, shown: [Float], presence: Tensor) throws -> Tensor {
        try call(
            ["coarse": features.coarse, "shown": logits(shown), "presence": presence], gives: 1)[0]
    }

    /// Memory tokens of a tracked frame.
    func remember(_ features: Features, predicted: Tensor, presence: Tensor) throws -> Tensor {
        try call(
            ["coarse": features.coarse, "predicted": predicted, "presence": presence], gives: 1)[0]
    }

    private func logits(_ values: [Float]) throws -> Tensor {
        try runtime.tensor(values, [1, 1, facts.maskSize, facts.maskSize])
    }

    private func call(_ arguments: [String: Tensor], gives count: Int) throws -> [Tensor] {
        let found = try runtime.call(arguments)
        guard found.count == count else {
            throw NativeError.runtime("a function gave \(found.count) arrays, not \(count)")
        }
        return found
    }
}
