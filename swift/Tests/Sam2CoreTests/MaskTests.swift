import Foundation
import XCTest

@testable import Sam2Core

final class MaskTests: XCTestCase {
    func testBitsAreReadAndWritten() {
        let mask = Mask(width: 9, height: 2, bits: Data([0, 0x80, 0x40, 0]))
        XCTAssertTrue(mask[8, 0])
        XCTAssertTrue(mask[1, 1])
        XCTAssertFalse(mask[0, 0])
        XCTAssertFalse(mask[9, 0] || mask[-1, 0] || mask[0, 2])
        XCTAssertEqual(mask.area, 2)
        XCTAssertEqual(mask.boundingBox, Box(left: 1, top: 0, right: 9, bottom: 2))
        XCTAssertEqual(Mask(width: 9, height: 2) { mask[$0, $1] }, mask)
        XCTAssertEqual([UInt8](mask.gray8()).filter { $0 == 255 }.count, 2)
        XCTAssertEqual(mask.gray8()[8], 255)
    }

    func testASliceOfAMessageIsAMask() {
        let message = Data([1, 2, 3, 0xF0, 0x0F])
        let mask = Mask(width: 8, height: 2, bits: message[3...])
        XCTAssertTrue(mask[0, 0] && mask[7, 1])
        XCTAssertEqual(mask.area, 8)
    }

    func testAnEmptyMaskHasNoBox() {
        let empty = Mask(width: 20, height: 3) { _, _ in false }
        XCTAssertNil(empty.boundingBox)
        XCTAssertEqual(empty.area, 0)
        XCTAssertEqual(empty.overlap(with: empty), 1)
    }

    func testOverlap() {
        let left = Mask(width: 10, height: 10) { x, _ in x < 6 }
        let right = Mask(width: 10, height: 10) { x, _ in x >= 4 }
        XCTAssertEqual(left.overlap(with: right), 0.2)
    }

    func testRunLengthsAreCocos() throws {
        // Down the columns: 0 0 1 | 1 0 0 | 1 1 1.
        let mask = Mask(width: 3, height: 3) { x, y in x == 2 || (x == 0 && y == 2) || (x == 1 && y == 0) }
        XCTAssertEqual(RunLengths(mask).counts, [2, 2, 2, 3])
        let full = Mask(width: 4, height: 2) { _, _ in true }
        XCTAssertEqual(RunLengths(full).counts, [0, 8])
        XCTAssertNil(RunLengths(width: 3, height: 3, counts: [4, 4]))
        XCTAssertNil(RunLengths(width: 1, height: 1, counts: [UInt32.max, UInt32.max]))
    }

    func testRunLengthsGoBothWays() throws {
        var dice = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            let width = Int.random(in: 1...40, using: &dice)
            let height = Int.random(in: 1...40, using: &dice)
            let mask = Mask(width: width, height: height) { _, _ in Bool.random() }
            let lengths = RunLengths(mask)
            XCTAssertEqual(lengths.mask, mask)
            XCTAssertEqual(
                RunLengths(width: width, height: height, counts: lengths.counts), lengths)
        }
    }
}
