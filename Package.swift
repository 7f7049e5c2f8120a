// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "sam2-mlx",
    platforms: [.macOS(.v14), .iOS(.v17)],
    products: [
        .library(name: "Sam2Core", targets: ["Sam2Core"]),
        .library(name: "Sam2Worker", targets: ["Sam2Worker"]),
    ],
    targets: [
        .target(name: "Sam2Core", path: "swift/Sources/Sam2Core"),
        .target(name: "Sam2Worker", dependencies: ["Sam2Core"], path: "swift/Sources/Sam2Worker"),
        .testTarget(
            name: "Sam2CoreTests", dependencies: ["Sam2Core"], path: "swift/Tests/Sam2CoreTests",
            exclude: ["Golden"]),
        .testTarget(
            name: "Sam2WorkerTests", dependencies: ["Sam2Worker"],
            path: "swift/Tests/Sam2WorkerTests"),
    ]
)
