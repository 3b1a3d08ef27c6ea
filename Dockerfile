FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY cluster cluster
COPY replication replication
# A node talks to brokers of its own containers: the packaged server stays behind.
RUN npm run build && npm prune --omit=dev --ignore-scripts && rm -rf node_modules/@eplightning

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
# A volume that is mounted here belongs to the user who owns it in the image.
RUN mkdir /cache && chown node:node /cache
USER node
EXPOSE 7401
HEALTHCHECK --interval=5s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.UNDERSTUDY_ADMIN_PORT ?? 7401}/livez`).then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/src/cli/main.js"]
CMD ["node"]
