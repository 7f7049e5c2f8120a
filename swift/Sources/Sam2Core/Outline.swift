/// A closed line along the edges of pixels.
public typealias Ring = [Corner]

/// A corner between pixels: (0, 0) is the frame's top left one.
public struct Corner: Sendable, Hashable {
    /// Pixels to its left.
    public let x: Int
    /// Pixels above it.
    public let y: Int

    public init(x: Int, y: Int) {
        self.x = x
        self.y = y
    }
}

extension Mask {
    /// The mask's borders, as closed lines along the edges of its pixels; corners only.
    ///
    /// Filled by the even-odd rule they give the mask back, holes included.
    public func outline() -> [Ring] {
        // Edges run with the object on their right, from corner to corner.
        var edges: [Corner: [Corner]] = [:]
        for y in 0..<height {
            for x in 0..<width where self[x, y] {
                let (left, right) = (Corner(x: x, y: y + 1), Corner(x: x + 1, y: y))
                let (top, bottom) = (Corner(x: x, y: y), Corner(x: x + 1, y: y + 1))
                if !self[x, y - 1] { edges[top, default: []].append(right) }
                if !self[x + 1, y] { edges[right, default: []].append(bottom) }
                if !self[x, y + 1] { edges[bottom, default: []].append(left) }
                if !self[x - 1, y] { edges[left, default: []].append(top) }
            }
        }
        var rings: [Ring] = []
        while let start = edges.keys.min(by: { ($0.y, $0.x) < ($1.y, $1.x) }) {
            rings.append(walk(from: start, &edges))
        }
        return rings
    }

    private func walk(from start: Corner, _ edges: inout [Corner: [Corner]]) -> Ring {
        var ring: Ring = [start]
        var here = start
        repeat {
            var next = edges[here]!
            let chosen = next.removeLast()
            edges[here] = next.isEmpty ? nil : next
            if ring.count > 1, isStraight(ring[ring.count - 2], here, chosen) { ring.removeLast() }
            ring.append(chosen)
            here = chosen
        } while here != start
        ring.removeLast()
        return ring
    }

    private func isStraight(_ a: Corner, _ b: Corner, _ c: Corner) -> Bool {
        (a.x == b.x && b.x == c.x) || (a.y == b.y && b.y == c.y)
    }
}
