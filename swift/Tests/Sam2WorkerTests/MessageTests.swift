import Foundation
import XCTest

@testable import Sam2Worker

final class MessageTests: XCTestCase {
    private let one = Message(json: Data(#"{"id":1}"#.utf8), blob: Data([1, 2, 3]))
    private let two = Message(json: Data("{}".utf8))

    private func framed(_ message: Message) -> Data { message.head + message.blob }

    /// Reads messages from data that comes in pieces.
    private func messages(_ data: Data, pieces: [Int]) throws -> [Message] {
        var rest = Data(data)
        var pieces = pieces
        let read: (UnsafeMutableRawBufferPointer) -> Int = { buffer in
            let piece = pieces.isEmpty ? rest.count : pieces.removeFirst()
            let count = min(piece, buffer.count, rest.count)
            rest.prefix(count).copyBytes(to: buffer)
            rest = Data(rest.dropFirst(count))
            return count
        }
        var found: [Message] = []
        while let message = try Message.next(read) { found.append(message) }
        return found
    }

    func testCutAtEveryByte() throws {
        let data = framed(one) + framed(two)
        for cut in 1..<data.count {
            let found = try messages(data, pieces: [cut])
            XCTAssertEqual(found.map(\.blob), [one.blob, two.blob])
            XCTAssertEqual(found.map(\.json), [one.json, two.json])
        }
        XCTAssertEqual(
            try messages(data, pieces: Array(repeating: 1, count: data.count)).count, 2)
    }

    func testAnEndWithinAMessage() throws {
        let data = framed(one)
        for count in 1..<data.count {
            XCTAssertThrowsError(try messages(data.prefix(count), pieces: [])) { error in
                XCTAssertTrue(error is Message.Cut, "\(error)")
            }
        }
        XCTAssertEqual(try messages(Data(), pieces: []).count, 0)
    }

    func testLengthsAreCheckedBeforeAnythingIsRead() {
        for head in [[UInt8](repeating: 255, count: 8), [0, 0, 0, 0x80, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0, 0, 0x20]] {
            XCTAssertThrowsError(try messages(Data(head), pieces: []))
        }
    }

    func testMasksOfAnAnswerAreChecked() throws {
        func found(_ entry: String, blob: Int) throws -> Int {
            let json = #"{"frame":0,"width":9,"height":2,"objects":[\#(entry)]}"#
            let masks = try JSONDecoder().decode(Masks.self, from: Data(json.utf8))
            return try masks.frameMasks(Data(count: blob)).objects.count
        }
        XCTAssertEqual(try found(#"{"object":1,"iou":1,"offset":4,"bytes":4}"#, blob: 8), 1)
        for entry in [
            #"{"object":1,"iou":1,"offset":5,"bytes":4}"#, #"{"object":1,"iou":1,"offset":-1,"bytes":4}"#,
            #"{"object":1,"iou":1,"offset":0,"bytes":5}"#,
            #"{"object":1,"iou":1,"offset":9223372036854775807,"bytes":4}"#,
        ] {
            XCTAssertThrowsError(try found(entry, blob: 8), entry)
        }
    }
}
