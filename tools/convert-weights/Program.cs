using ConvertWeights;

return await CommandLine.RunAsync(args);
