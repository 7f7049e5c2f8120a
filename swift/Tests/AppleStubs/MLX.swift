import Foundation

public enum DType { case float32 }
public enum DeviceType { case cpu, gpu }
public struct Device {
    public var deviceType: DeviceType? { fatalError() }
    public static func defaultDevice() -> Device { fatalError() }
}
public final class MLXArray {
    public init<T>(_ values: [T], _ shape: [Int]) {}
    public static func zeros(like array: MLXArray) -> MLXArray { fatalError() }
    public func asType(_ type: DType) -> MLXArray { fatalError() }
    public func asArray<T>(_ type: T.Type) -> [T] { fatalError() }
}
public func stacked(_ arrays: [MLXArray], axis: Int = 0) -> MLXArray { fatalError() }
public func eval(_ arrays: [MLXArray]) {}
public func importFunction(from url: URL) throws -> ImportedFunction { fatalError() }
@dynamicCallable
public final class ImportedFunction {
    public func dynamicallyCall(withKeywordArguments args: KeyValuePairs<String, MLXArray>) throws
        -> [MLXArray] { fatalError() }
}
